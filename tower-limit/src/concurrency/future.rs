//! Response futures.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::permits::Permit;

pin_project! {
    /// The response future of a [`ConcurrencyLimit`](super::ConcurrencyLimit). Holds the request's permit until the response is
    /// ready, or until it is dropped.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct ResponseFuture<T> {
        #[pin]
        inner: T,
        permit: Option<Permit>,
    }
}

impl<T> ResponseFuture<T> {
    pub(super) fn new(inner: T, permit: Permit) -> Self {
        Self {
            inner,
            permit: Some(permit),
        }
    }
}

impl<F: Future> Future for ResponseFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let output = ready!(this.inner.poll(cx));
        *this.permit = None;
        Poll::Ready(output)
    }
}
