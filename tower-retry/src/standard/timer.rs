use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;
use tower_timeout::alarm::Alarm;
use tower_timeout::error::Elapsed;

/// Limits the time of an attempt, in a service whose errors are `E`.
#[diagnostic::on_unimplemented(
    message = "a timeout per attempt needs an error type that can be created from `tower_timeout::error::Elapsed`, and `{E}` cannot",
    note = "implement `From<tower_timeout::error::Elapsed>` for it, or box the errors: `map_err(BoxError::from)`"
)]
pub trait AttemptTimer<E> {
    /// Polls the timer; ready with an error when the time is up. The time starts with the first poll.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<E>;

    /// Resets the timer for the next attempt.
    fn reset(&mut self);
}

/// Does not limit the time of attempts.
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

/// Limits the time of each attempt to the same timeout, if there is one; see
/// [`Builder::attempt_timeout`](crate::Builder::attempt_timeout).
#[derive(Debug)]
pub struct PerAttempt {
    timeout: Option<Duration>,
    /// The timer of the current attempt. Created when that is first pending, as many responses need no timer.
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
            // A timeout that the clock cannot represent is no timeout.
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

/// The clone has the same timeout, and its time has not started.
impl Clone for PerAttempt {
    fn clone(&self) -> Self {
        Self::new(self.timeout)
    }
}
