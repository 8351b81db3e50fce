use std::fmt;
use std::task::{Context, Poll};

use futures_util::future::LocalBoxFuture;
use tower_layer::{LayerFn, layer_fn};
use tower_service::Service;

use crate::ServiceExt;

type Inner<T, U, E> =
    dyn Service<T, Response = U, Error = E, Future = LocalBoxFuture<'static, Result<U, E>>>;

/// A boxed service that need not be `Send`, and neither need its response future.
pub struct UnsyncBoxService<T, U, E> {
    inner: Box<Inner<T, U, E>>,
}

impl<T, U, E> UnsyncBoxService<T, U, E> {
    /// Boxes `inner`.
    pub fn new<S>(inner: S) -> Self
    where
        S: Service<T, Response = U, Error = E> + 'static,
        S::Future: 'static,
    {
        Self {
            inner: Box::new(inner.map_future(|response| Box::pin(response) as _)),
        }
    }

    /// Returns a layer that boxes services.
    pub fn layer<S>() -> LayerFn<fn(S) -> Self>
    where
        S: Service<T, Response = U, Error = E> + 'static,
        S::Future: 'static,
    {
        layer_fn(Self::new)
    }
}

impl<T, U, E> Service<T> for UnsyncBoxService<T, U, E> {
    type Response = U;
    type Error = E;
    type Future = LocalBoxFuture<'static, Result<U, E>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: T) -> Self::Future {
        self.inner.call(request)
    }
}

impl<T, U, E> fmt::Debug for UnsyncBoxService<T, U, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnsyncBoxService").finish_non_exhaustive()
    }
}
