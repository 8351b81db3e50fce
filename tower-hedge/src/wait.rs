use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

pin_project! {
    /// Until the next request is sent.
    #[project = WaitProj]
    pub(crate) enum Wait {
        // Not waited for yet: most responses come before anyone needs a timer.
        Planned { at: Instant },
        Asleep { #[pin] timer: Sleep },
        Due,
        // It never will be.
        Over,
    }
}

impl Wait {
    pub(crate) fn until(began: Instant, delay: Duration) -> Self {
        match began.checked_add(delay) {
            // A timer would take until the next millisecond.
            Some(_) if delay.is_zero() => Self::Due,
            Some(at) => Self::Planned { at },
            None => Self::Over,
        }
    }

    pub(crate) const fn is_over(&self) -> bool {
        matches!(self, Self::Over)
    }

    /// Ready when the request is due; pending for ever if it never is.
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
