//! The timer of a maximum wait.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// Fires at a deadline. The timer is created when it is first polled, then reused.
#[derive(Debug)]
pub(crate) struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    pub(crate) const fn new() -> Self {
        Self(None)
    }

    /// Returns the deadline of a wait that begins now.
    pub(crate) fn deadline_in(max_wait: Duration) -> Instant {
        let now = Instant::now();
        now.checked_add(max_wait).unwrap_or(now + FOREVER)
    }

    pub(crate) fn poll(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(timer) = &mut self.0
            && timer.deadline() != deadline
        {
            timer.as_mut().reset(deadline);
        }
        let sleep = || Box::pin(tokio::time::sleep_until(deadline));
        self.0.get_or_insert_with(sleep).as_mut().poll(cx)
    }
}

/// About thirty years, which tokio's clock can represent.
const FOREVER: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 30);
