use std::future::Future;
use std::task::{Context, Poll};

use tower_service::Service;

adaptor! {
    /// Maps the response future of a service; see [`ServiceExt::map_future`](crate::ServiceExt::map_future).
    MapFuture, MapFutureLayer
}

impl<R, S, F, T, E, Fut> Service<R> for MapFuture<S, F>
where
    S: Service<R>,
    F: FnMut(S::Future) -> Fut,
    E: From<S::Error>,
    Fut: Future<Output = Result<T, E>>,
{
    type Response = T;
    type Error = E;
    type Future = Fut;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        self.inner.poll_ready(cx).map_err(From::from)
    }

    #[inline]
    fn call(&mut self, request: R) -> Fut {
        (self.f)(self.inner.call(request))
    }
}
