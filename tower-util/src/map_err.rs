use std::task::{Context, Poll};

use futures_util::{TryFutureExt, future};
use tower_service::Service;

adaptor! {
    /// Maps the error of a service; see [`ServiceExt::map_err`](crate::ServiceExt::map_err).
    MapErr, MapErrLayer
}

named_future! {
    /// The response future of [`MapErr`].
    MapErrFuture<F, N>(future::MapErr<F, N>)
}

impl<S, F, Request, Error> Service<Request> for MapErr<S, F>
where
    S: Service<Request>,
    F: FnOnce(S::Error) -> Error + Clone,
{
    type Response = S::Response;
    type Error = Error;
    type Future = MapErrFuture<S::Future, F>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(self.f.clone())
    }

    #[inline]
    fn call(&mut self, request: Request) -> Self::Future {
        MapErrFuture::new(self.inner.call(request).map_err(self.f.clone()))
    }
}
