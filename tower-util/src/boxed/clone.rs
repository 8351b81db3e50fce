use std::fmt;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use tower_layer::{LayerFn, layer_fn};
use tower_service::Service;

use crate::ServiceExt;

type Inner<T, U, E> = dyn CloneBoxed<T, U, E> + Send;

/// A boxed service that is `Clone` and `Send`; see [`ServiceExt::boxed_clone`].
pub struct BoxCloneService<T, U, E>(Box<Inner<T, U, E>>);

impl<T, U, E> BoxCloneService<T, U, E> {
    /// Boxes `inner`.
    pub fn new<S>(inner: S) -> Self
    where
        S: Service<T, Response = U, Error = E> + Clone + Send + 'static,
        S::Future: Send + 'static,
    {
        Self(Box::new(
            inner.map_future(|response| Box::pin(response) as _),
        ))
    }

    /// Returns a layer that boxes services.
    pub fn layer<S>() -> LayerFn<fn(S) -> Self>
    where
        S: Service<T, Response = U, Error = E> + Clone + Send + 'static,
        S::Future: Send + 'static,
    {
        layer_fn(Self::new)
    }
}

impl<T, U, E> Service<T> for BoxCloneService<T, U, E> {
    type Response = U;
    type Error = E;
    type Future = BoxFuture<'static, Result<U, E>>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        self.0.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: T) -> Self::Future {
        self.0.call(request)
    }
}

impl<T, U, E> Clone for BoxCloneService<T, U, E> {
    fn clone(&self) -> Self {
        Self(self.0.clone_boxed())
    }
}

impl<T, U, E> fmt::Debug for BoxCloneService<T, U, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoxCloneService").finish_non_exhaustive()
    }
}

/// `Clone` for a boxed service.
trait CloneBoxed<T, U, E>:
    Service<T, Response = U, Error = E, Future = BoxFuture<'static, Result<U, E>>>
{
    fn clone_boxed(&self) -> Box<Inner<T, U, E>>;
}

impl<S, T, U, E> CloneBoxed<T, U, E> for S
where
    S: Service<T, Response = U, Error = E, Future = BoxFuture<'static, Result<U, E>>>
        + Clone
        + Send
        + 'static,
{
    fn clone_boxed(&self) -> Box<Inner<T, U, E>> {
        Box::new(self.clone())
    }
}
