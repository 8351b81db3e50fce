//! One attempt at a request, and how long it may take.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_timeout::alarm::Alarm;
use tower_timeout::error::Elapsed;

use crate::policy::AttemptTimeout;

pin_project! {
    /// The response of one attempt, or the error that it has taken too long.
    pub(crate) struct Attempt<F, E> {
        #[pin]
        response: F,
        timer: Timer<E>,
    }
}

enum Timer<E> {
    /// It may take as long as it likes.
    Off,
    /// The response was not asked yet. Most that are ready then need neither a timer nor the time.
    Unset(AttemptTimeout<E>),
    Set(Alarm, AttemptTimeout<E>),
}

impl<F, E> Attempt<F, E> {
    #[inline]
    pub(crate) fn new(response: F, timeout: Option<AttemptTimeout<E>>) -> Self {
        let timer = timeout.map_or(Timer::Off, Timer::Unset);
        Self { response, timer }
    }
}

impl<F, T, E> Future for Attempt<F, E>
where
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<T, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, E>> {
        let this = self.project();
        match this.response.poll(cx) {
            Poll::Pending => this.timer.poll(cx).map(Err),
            ready => ready,
        }
    }
}

impl<E> Timer<E> {
    /// The error if the time is up, which begins with the first call.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<E> {
        if let Self::Unset(timeout) = *self {
            // A time that lies beyond what the clock can tell never comes.
            *self = match Instant::now().checked_add(timeout.after) {
                Some(deadline) => Self::Set(Alarm::new(deadline), timeout),
                None => Self::Off,
            };
        }
        match self {
            Self::Set(alarm, timeout) => alarm
                .poll(cx)
                .map(|()| (timeout.error)(Elapsed::after(timeout.after))),
            Self::Unset(_) | Self::Off => Poll::Pending,
        }
    }
}

impl<F: fmt::Debug, E> fmt::Debug for Attempt<F, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt")
            .field("response", &self.response)
            .finish_non_exhaustive()
    }
}
