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
        #[pin]
        timer: Timer,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = TimerProj]
    enum Timer {
        // The response was not asked yet. Most that are ready then need neither a timer nor the time.
        Unset,
        Set { #[pin] sleep: Sleep },
        // The time lies beyond what the clock can tell.
        Never,
    }
}

impl<T> ResponseFuture<T> {
    pub(crate) const fn new(response: T, timeout: Duration) -> Self {
        Self {
            response,
            timeout,
            timer: Timer::Unset,
        }
    }
}

impl<F, T, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        // First the response: one that is ready wins, even over a time that is up.
        match this.response.poll(cx) {
            Poll::Ready(result) => Poll::Ready(result.map_err(Into::into)),
            Poll::Pending => this
                .timer
                .poll(cx, *this.timeout)
                .map(|()| Err(Elapsed::after(*this.timeout).into())),
        }
    }
}

impl Timer {
    /// Whether the time is up, which begins with the first call.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>, timeout: Duration) -> Poll<()> {
        loop {
            match self.as_mut().project() {
                // ## Unset => Set | Never
                TimerProj::Unset => {
                    let next = match Instant::now().checked_add(timeout) {
                        Some(deadline) => Self::Set {
                            sleep: tokio::time::sleep_until(deadline),
                        },
                        None => Self::Never,
                    };
                    self.set(next);
                }
                TimerProj::Set { mut sleep } => {
                    let up = sleep.as_mut().poll(cx).is_ready();
                    // A timer does not fire for a task that has used up its cooperative budget, as the response may have
                    // done just now, and then it has asked for the task to be woken at once. So that a response that is
                    // always busy cannot outlive its time, the clock has the last word.
                    let busy = !up && !tokio::task::coop::has_budget_remaining();
                    return if up || (busy && Instant::now() >= sleep.deadline()) {
                        Poll::Ready(())
                    } else {
                        Poll::Pending
                    };
                }
                TimerProj::Never => return Poll::Pending,
            }
        }
    }
}
