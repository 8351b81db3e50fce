use std::task::{Context, Poll};

use futures_util::{TryFutureExt, future::MapOk};
use tower_service::Service;

adaptor! {
    /// Maps the response of a service; see [`ServiceExt::map_response`](crate::ServiceExt::map_response).
    MapResponse, MapResponseLayer
}

named_future! {
    /// The response future of [`MapResponse`].
    MapResponseFuture<F, N>(MapOk<F, N>)
}

impl<S, F, Request, Response> Service<Request> for MapResponse<S, F>
where
    S: Service<Request>,
    F: FnOnce(S::Response) -> Response + Clone,
{
    type Response = Response;
    type Error = S::Error;
    type Future = MapResponseFuture<S::Future, F>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request) -> Self::Future {
        MapResponseFuture::new(self.inner.call(request).map_ok(self.f.clone()))
    }
}
