use std::task::{Context, Poll};

use futures_util::{FutureExt, future::Map};
use tower_service::Service;

adaptor! {
    /// Maps the result of a service; see [`ServiceExt::map_result`](crate::ServiceExt::map_result).
    MapResult, MapResultLayer
}

named_future! {
    /// The response future of [`MapResult`].
    MapResultFuture<F, N>(Map<F, N>)
}

impl<S, F, Request, Response, Error> Service<Request> for MapResult<S, F>
where
    S: Service<Request>,
    Error: From<S::Error>,
    F: FnOnce(Result<S::Response, S::Error>) -> Result<Response, Error> + Clone,
{
    type Response = Response;
    type Error = Error;
    type Future = MapResultFuture<S::Future, F>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    #[inline]
    fn call(&mut self, request: Request) -> Self::Future {
        MapResultFuture::new(self.inner.call(request).map(self.f.clone()))
    }
}
