use std::time::Duration;

use tokio::time::Instant;

/// A point in time after which the result of a request is no longer needed.
///
/// A timeout restarts with each attempt and each hop; a deadline covers all of them.
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
/// // The earlier of two deadlines applies.
/// assert_eq!(deadline.min(Deadline::after(now, second)), Deadline::after(now, second));
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline(Instant);

impl Deadline {
    /// Creates a deadline at `instant`.
    pub const fn at(instant: Instant) -> Self {
        Self(instant)
    }

    /// Creates a deadline `timeout` after `now`, or thirty years after it if the clock cannot represent the sum.
    pub fn after(now: Instant, timeout: Duration) -> Self {
        Self(now.checked_add(timeout).unwrap_or(now + FAR))
    }

    /// Returns the point in time.
    pub const fn instant(self) -> Instant {
        self.0
    }

    /// Returns the time that is left; zero if the deadline has passed.
    pub fn remaining(self, now: Instant) -> Duration {
        self.0.saturating_duration_since(now)
    }

    /// Whether the deadline has passed.
    pub fn has_passed(self, now: Instant) -> bool {
        self.0 <= now
    }
}

const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
