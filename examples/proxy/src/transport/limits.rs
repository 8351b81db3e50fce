//! How long a peer that does not read may delay a body.

use std::time::Duration;

use tokio::time::Instant;

/// The limits on how long a task may delay the polling of a body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// The time between one frame and the next.
    pub idle: Option<Duration>,
    /// The deadline of the whole body.
    pub end: Option<Instant>,
}

impl Limits {
    /// Returns when a body must be polled again that was last polled at `since`, or `None` if it may take any time.
    pub(super) fn deadline(self, since: Instant) -> Option<Instant> {
        let idle = self.idle.and_then(|idle| since.checked_add(idle));
        idle.into_iter().chain(self.end).min()
    }
}
