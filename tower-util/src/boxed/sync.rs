use std::fmt;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use sync_wrapper::SyncWrapper;
use tower_layer::{LayerFn, layer_fn};
use tower_service::Service;

use crate::ServiceExt;

type Inner<T, U, E> =
    dyn Service<T, Response = U, Error = E, Future = BoxFuture<'static, Result<U, E>>> + Send;

/// A boxed service that is `Send` and `Sync`; see [`ServiceExt::boxed`].
///
/// [`BoxCloneService`](crate::BoxCloneService) is `Clone` as well, and an [`UnsyncBoxService`](crate::UnsyncBoxService)
/// need not be `Send`.
pub struct BoxService<T, U, E> {
    // A service is only used through `&mut`, so that the inner one need not be `Sync`.
    inner: SyncWrapper<Box<Inner<T, U, E>>>,
}

impl<T, U, E> BoxService<T, U, E> {
    /// Boxes `inner`.
    pub fn new<S>(inner: S) -> Self
    where
        S: Service<T, Response = U, Error = E> + Send + 'static,
        S::Future: Send + 'static,
    {
        Self {
            inner: SyncWrapper::new(Box::new(
                inner.map_future(|response| Box::pin(response) as _),
            )),
        }
    }

    /// Returns a layer that boxes services.
    pub fn layer<S>() -> LayerFn<fn(S) -> Self>
    where
        S: Service<T, Response = U, Error = E> + Send + 'static,
        S::Future: Send + 'static,
    {
        layer_fn(Self::new)
    }
}

impl<T, U, E> Service<T> for BoxService<T, U, E> {
    type Response = U;
    type Error = E;
    type Future = BoxFuture<'static, Result<U, E>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        self.inner.get_mut().poll_ready(cx)
    }

    fn call(&mut self, request: T) -> Self::Future {
        self.inner.get_mut().call(request)
    }
}

impl<T, U, E> fmt::Debug for BoxService<T, U, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoxService").finish_non_exhaustive()
    }
}
