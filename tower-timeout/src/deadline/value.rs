use std::time::Duration;

use tokio::time::Instant;

/// Until when a request is of use: one point in time for all that is done for it.
///
/// A timeout begins anew with each attempt and at each hop; a deadline does not.
///
/// # Example
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use std::time::Duration;
/// use tokio::time::Instant;
/// use tower_timeout::Deadline;
///
/// let second = Duration::from_secs(1);
/// let now = Instant::now();
/// let deadline = Deadline::after(now, 5 * second);
/// assert_eq!(deadline.remaining(now + 2 * second), 3 * second);
/// assert_eq!(deadline.remaining(now + 7 * second), Duration::ZERO);
/// assert!(deadline.has_passed(now + 5 * second));
/// // Of two, the sooner one counts.
/// assert_eq!(deadline.min(Deadline::after(now, second)), Deadline::after(now, second));
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline(Instant);

impl Deadline {
    /// At this point in time.
    pub const fn at(instant: Instant) -> Self {
        Self(instant)
    }

    /// So long after `now`; thirty years after it if that is more than the clock can tell.
    pub fn after(now: Instant, timeout: Duration) -> Self {
        Self(now.checked_add(timeout).unwrap_or(now + FAR))
    }

    /// The point in time.
    pub const fn instant(self) -> Instant {
        self.0
    }

    /// How long it is until then; zero if it has passed.
    pub fn remaining(self, now: Instant) -> Duration {
        self.0.saturating_duration_since(now)
    }

    /// Whether nothing remains.
    pub fn has_passed(self, now: Instant) -> bool {
        self.0 <= now
    }
}

const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
