use std::future::Future;
use std::task::{Context, Poll};

use futures_util::{FutureExt, future};
use tower_service::Service;

adaptor! {
    /// Runs an async function on the result of a service; see [`ServiceExt::then`](crate::ServiceExt::then).
    Then, ThenLayer
}

named_future! {
    /// The response future of [`Then`].
    ThenFuture<F1, F2, N>(future::Then<F1, F2, N>)
}

impl<S, F, Request, Response, Error, Fut> Service<Request> for Then<S, F>
where
    S: Service<Request>,
    S::Error: Into<Error>,
    F: FnOnce(Result<S::Response, S::Error>) -> Fut + Clone,
    Fut: Future<Output = Result<Response, Error>>,
{
    type Response = Response;
    type Error = Error;
    type Future = ThenFuture<S::Future, Fut, F>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    #[inline]
    fn call(&mut self, request: Request) -> Self::Future {
        ThenFuture::new(self.inner.call(request).then(self.f.clone()))
    }
}
