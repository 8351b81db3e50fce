//! The clock, and how to avoid reading it.

use std::cell::Cell;
use std::sync::OnceLock;

use tokio::time::Instant;

/// Runs `f`, in which [`Load::load`](crate::Load::load) uses the time of the latest request that started or ended on
/// this thread, instead of reading the clock.
///
/// Balancers use it, because they only compare loads of the same kind. All estimates decay by the same factor, whatever
/// the time, so a stale time does not change the result of a comparison; the exception is the first comparison on a
/// thread that was idle. If no request has started or ended on this thread yet, the clock is read.
///
/// # Example
///
/// ```
/// # struct Echo;
/// use tower_load::{CompleteOnResponse, Load, PeakEwma, at_recent_time};
///
/// let services = [1, 2].map(|_| {
///     PeakEwma::new(Echo, std::time::Duration::from_millis(1), 1e10, CompleteOnResponse::default())
/// });
/// let [first, second] = at_recent_time(|| [services[0].load(), services[1].load()]);
/// assert!((first <= second) || (first > second));
/// ```
#[inline]
pub fn at_recent_time<R>(f: impl FnOnce() -> R) -> R {
    /// Restores the flag, also if `f` panics.
    struct Reset(bool);

    impl Drop for Reset {
        #[inline]
        fn drop(&mut self) {
            USE_RECENT.set(self.0);
        }
    }

    let _reset = Reset(USE_RECENT.replace(true));
    f()
}

/// Reads the clock, and records the time as the latest of this thread. Returns nanoseconds since the first reading in
/// this process.
#[inline]
pub(crate) fn now() -> u64 {
    let now = read();
    LATEST.set(Some(now));
    now
}

#[inline]
fn read() -> u64 {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    let now = Instant::now();
    let since = now.saturating_duration_since(*EPOCH.get_or_init(|| now));
    since.as_secs() * 1_000_000_000 + u64::from(since.subsec_nanos())
}

/// Returns the latest recorded time within [`at_recent_time`], and otherwise the current time.
#[inline]
pub(crate) fn now_or_recent() -> u64 {
    if USE_RECENT.get() {
        LATEST.get().unwrap_or_else(now)
    } else {
        read()
    }
}

thread_local! {
    static USE_RECENT: Cell<bool> = const { Cell::new(false) };
    static LATEST: Cell<Option<u64>> = const { Cell::new(None) };
}
