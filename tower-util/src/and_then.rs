use std::task::{Context, Poll};

use futures_core::TryFuture;
use futures_util::{TryFutureExt, future};
use tower_service::Service;

adaptor! {
    /// Runs an async function on the response of a service; see [`ServiceExt::and_then`](crate::ServiceExt::and_then).
    AndThen, AndThenLayer
}

named_future! {
    /// The response future of [`AndThen`].
    AndThenFuture<F1, F2, N>(future::AndThen<future::ErrInto<F1, F2::Error>, F2, N>) where F2: TryFuture
}

impl<S, F, Request, Fut> Service<Request> for AndThen<S, F>
where
    S: Service<Request>,
    S::Error: Into<Fut::Error>,
    F: FnOnce(S::Response) -> Fut + Clone,
    Fut: TryFuture,
{
    type Response = Fut::Ok;
    type Error = Fut::Error;
    type Future = AndThenFuture<S::Future, Fut, F>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    #[inline]
    fn call(&mut self, request: Request) -> Self::Future {
        AndThenFuture::new(self.inner.call(request).err_into().and_then(self.f.clone()))
    }
}
