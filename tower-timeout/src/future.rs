//! Response futures.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

use crate::BoxError;
use crate::error::Elapsed;

pin_project! {
    /// The response of a [`Timeout`](crate::Timeout).
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct ResponseFuture<T> {
        #[pin]
        response: T,
        timeout: Duration,
        // `None` if it lies beyond what the clock can tell: then there is no timeout.
        deadline: Option<Instant>,
        // Made when the response was first pending.
        #[pin]
        timer: Option<Sleep>,
    }
}

impl<T> ResponseFuture<T> {
    pub(crate) fn new(response: T, timeout: Duration) -> Self {
        Self {
            response,
            timeout,
            deadline: Instant::now().checked_add(timeout),
            timer: None,
        }
    }
}

impl<F, T, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();

        // First the response: one that is ready wins, even over a deadline that has passed.
        if let Poll::Ready(result) = this.response.poll(cx) {
            return Poll::Ready(result.map_err(Into::into));
        }
        let Some(deadline) = *this.deadline else {
            return Poll::Pending;
        };

        // ## Called => Waiting
        if this.timer.is_none() {
            this.timer.set(Some(tokio::time::sleep_until(deadline)));
        }
        let timer = this.timer.as_pin_mut().expect("the timer was set");
        let fired = timer.poll(cx).is_ready();
        // A timer does not fire for a task that has used up its cooperative budget, as the response may have done just
        // now, and then it has asked for the task to be woken at once. So that a response that is always busy cannot
        // outlive its time, the clock has the last word.
        if fired || (!tokio::task::coop::has_budget_remaining() && Instant::now() >= deadline) {
            return Poll::Ready(Err(Elapsed::after(*this.timeout).into()));
        }
        Poll::Pending
    }
}
