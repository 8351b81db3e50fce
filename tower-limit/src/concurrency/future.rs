//! Response futures.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::permits::Permit;
use crate::hold::HoldPermit;

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

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let (output, permit) = ready!(self.poll_holding(cx));
        drop(permit);
        Poll::Ready(output)
    }
}

impl<F: Future> HoldPermit for ResponseFuture<F> {
    type Permit = HeldPermit;

    #[inline]
    fn poll_holding(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<(F::Output, Option<HeldPermit>)> {
        let this = self.project();
        let output = ready!(this.inner.poll(cx));
        Poll::Ready((output, this.permit.take().map(HeldPermit)))
    }
}

/// The permit of a request whose response is ready, until it is dropped.
#[derive(Debug)]
pub struct HeldPermit(#[expect(dead_code, reason = "returned when it is dropped")] Permit);
