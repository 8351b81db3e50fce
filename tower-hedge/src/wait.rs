use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

pin_project! {
    /// The wait until the next attempt.
    #[project = WaitProj]
    pub(crate) enum Wait {
        // Not polled yet: most responses come before a timer is needed.
        Planned { at: Instant },
        Asleep { #[pin] timer: Sleep },
        Due,
        // There will be no further attempt.
        Over,
    }
}

impl Wait {
    pub(crate) fn until(began: Instant, delay: Duration) -> Self {
        match began.checked_add(delay) {
            // A timer would fire no earlier than the next millisecond.
            Some(_) if delay.is_zero() => Self::Due,
            Some(at) => Self::Planned { at },
            None => Self::Over,
        }
    }

    pub(crate) const fn is_over(&self) -> bool {
        matches!(self, Self::Over)
    }

    /// Ready when the next attempt is due; pending forever if there is none.
    pub(crate) fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.as_mut().project() {
                // ## Planned => Asleep
                WaitProj::Planned { at } => {
                    let timer = tokio::time::sleep_until(*at);
                    self.set(Self::Asleep { timer });
                }
                // ## Asleep => Due
                WaitProj::Asleep { timer } => {
                    ready!(timer.poll(cx));
                    self.set(Self::Due);
                }
                WaitProj::Due => return Poll::Ready(()),
                WaitProj::Over => return Poll::Pending,
            }
        }
    }
}
