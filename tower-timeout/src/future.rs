//! Response futures.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::Instant;

use crate::BoxError;
use crate::alarm::Alarm;
use crate::error::Elapsed;

pin_project! {
    /// The response future of [`Timeout`](crate::Timeout) and [`TimeoutBy`](crate::TimeoutBy).
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct ResponseFuture<T> {
        #[pin]
        response: T,
        timeout: Duration,
        timer: Timer,
    }
}

#[derive(Debug)]
enum Timer {
    /// Not polled yet. A response that is ready at the first poll needs neither a timer nor the clock.
    Unset,
    Set(Alarm),
    /// There is no timeout, or it ends later than the clock can represent.
    Never,
}

impl<T> ResponseFuture<T> {
    pub(crate) const fn new(response: T, timeout: Duration) -> Self {
        Self {
            response,
            timeout,
            timer: Timer::Unset,
        }
    }

    /// A response without a timeout.
    pub(crate) const fn unbounded(response: T) -> Self {
        Self {
            response,
            timeout: Duration::MAX,
            timer: Timer::Never,
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
        // The response is polled first: one that is ready wins even if the time is up.
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
    /// Polls whether the time is up; it starts at the first call.
    fn poll(&mut self, cx: &mut Context<'_>, timeout: Duration) -> Poll<()> {
        if let Self::Unset = self {
            *self = match Instant::now().checked_add(timeout) {
                Some(deadline) => Self::Set(Alarm::new(deadline)),
                None => Self::Never,
            };
        }
        match self {
            Self::Set(alarm) => alarm.poll(cx),
            Self::Unset | Self::Never => Poll::Pending,
        }
    }
}
