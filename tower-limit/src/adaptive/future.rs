//! Response futures.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_classify::Classify;

use super::control::Control;
use super::policy::Limit;
use crate::concurrency::future::{self, HeldPermit};
use crate::hold::HoldPermit;

pin_project! {
    /// The response future of an [`AdaptiveConcurrencyLimit`](super::AdaptiveConcurrencyLimit). Holds the request's permit until
    /// the response is ready, or until it is dropped.
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct ResponseFuture<F, L: Limit, C, I, Req> {
        // Dropped first: a cancelled request is in flight until the policy has been told.
        request: InFlight<L>,
        #[pin]
        inner: future::ResponseFuture<F>,
        classify: (C, I),
        _marker: PhantomData<fn(Req)>,
    }
}

impl<F, L: Limit, C, I, Req> ResponseFuture<F, L, C, I, Req> {
    pub(super) const fn new(
        request: InFlight<L>,
        inner: future::ResponseFuture<F>,
        classify: (C, I),
    ) -> Self {
        Self {
            request,
            inner,
            classify,
            _marker: PhantomData,
        }
    }
}

impl<F, L, C, Req, T, E> Future for ResponseFuture<F, L, C, C::Info, Req>
where
    F: Future<Output = Result<T, E>>,
    L: Limit,
    C: Classify<Req, T, E>,
{
    type Output = Result<T, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, E>> {
        let (output, permit) = ready!(self.poll_holding(cx));
        drop(permit);
        Poll::Ready(output)
    }
}

impl<F, L, C, Req, T, E> HoldPermit for ResponseFuture<F, L, C, C::Info, Req>
where
    F: Future<Output = Result<T, E>>,
    L: Limit,
    C: Classify<Req, T, E>,
{
    type Permit = HeldPermit;

    fn poll_holding(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<(Result<T, E>, Option<HeldPermit>)> {
        let this = self.project();
        let (output, permit) = ready!(this.inner.poll_holding(cx));
        let (classify, info) = this.classify;
        let class = classify.classify(info, output.as_ref());
        if let Some((control, began)) = this.request.take() {
            control.ended(began, class);
        }
        Poll::Ready((output, permit))
    }
}

impl<F, L: Limit, C, I, Req> fmt::Debug for ResponseFuture<F, L, C, I, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

/// A request that has begun. It has been cancelled if this is dropped before it ends.
pub(super) struct InFlight<L: Limit>(Option<(Arc<Control<L>>, Instant)>);

impl<L: Limit> InFlight<L> {
    pub(super) const fn new(control: Arc<Control<L>>, began: Instant) -> Self {
        Self(Some((control, began)))
    }

    const fn take(&mut self) -> Option<(Arc<Control<L>>, Instant)> {
        self.0.take()
    }
}

impl<L: Limit> Drop for InFlight<L> {
    fn drop(&mut self) {
        if let Some((control, began)) = self.take() {
            control.cancelled(began);
        }
    }
}
