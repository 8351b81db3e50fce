use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;
use tower_timeout::alarm::Alarm;
use tower_timeout::error::Elapsed;

/// How long an attempt may take, in a service whose errors are `E`.
#[diagnostic::on_unimplemented(
    message = "a timeout per attempt needs an error type that can be made of `tower_timeout::error::Elapsed`, and `{E}` cannot",
    note = "implement `From<tower_timeout::error::Elapsed>` for it, or box the errors: `map_err(BoxError::from)`"
)]
pub trait AttemptTimer<E> {
    /// The error when the time is up. It begins with the first poll.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<E>;

    /// The next attempt has its own time.
    fn reset(&mut self);
}

/// Attempts may take as long as they like.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct NoTimeout;

impl<E> AttemptTimer<E> for NoTimeout {
    #[inline]
    fn poll(&mut self, _cx: &mut Context<'_>) -> Poll<E> {
        Poll::Pending
    }

    #[inline]
    fn reset(&mut self) {}
}

/// Each attempt may take so long, or as long as it likes.
#[derive(Debug)]
pub struct PerAttempt {
    timeout: Option<Duration>,
    /// Of the attempt that runs, once it was pending: most responses come before anyone needs a timer.
    alarm: Option<Alarm>,
}

impl PerAttempt {
    pub(super) const fn new(timeout: Option<Duration>) -> Self {
        Self {
            timeout,
            alarm: None,
        }
    }
}

impl<E: From<Elapsed>> AttemptTimer<E> for PerAttempt {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<E> {
        let Some(timeout) = self.timeout else {
            return Poll::Pending;
        };
        if self.alarm.is_none() {
            // A time that lies beyond what the clock can tell never comes.
            self.alarm = Instant::now().checked_add(timeout).map(Alarm::new);
        }
        match &mut self.alarm {
            Some(alarm) => alarm.poll(cx).map(|()| Elapsed::after(timeout).into()),
            None => Poll::Pending,
        }
    }

    fn reset(&mut self) {
        self.alarm = None;
    }
}

/// The clone has the same time, and has not begun.
impl Clone for PerAttempt {
    fn clone(&self) -> Self {
        Self::new(self.timeout)
    }
}
