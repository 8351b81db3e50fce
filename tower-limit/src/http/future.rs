//! Response futures.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use super::HoldBody;
use crate::hold::HoldPermit;

pin_project! {
    /// The response future of a [`HoldUntilBodyEnd`](super::HoldUntilBodyEnd).
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) const fn new(inner: F) -> Self {
        Self { inner }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: HoldPermit<Output = Result<Response<B>, E>>,
    B: Body,
{
    type Output = Result<Response<HoldBody<B, F::Permit>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (result, permit) = ready!(self.project().inner.poll_holding(cx));
        Poll::Ready(result.map(|response| response.map(|body| HoldBody::new(body, permit))))
    }
}
