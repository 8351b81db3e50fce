//! The time, read as seldom as may be.

use std::cell::Cell;
use std::sync::OnceLock;

use tokio::time::Instant;

/// Computes loads in `f` for the time of the latest request that began or ended on this thread, in place of now: without
/// reading the clock.
///
/// For balancers, which compare loads of the same kind. An estimate that fades does so by the same factor for all, whatever
/// the time; so the comparison is as good, but for the first one of a thread that was idle.
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
    /// Also when `f` panics.
    struct Reset(bool);

    impl Drop for Reset {
        #[inline]
        fn drop(&mut self) {
            RECENT_WILL_DO.set(self.0);
        }
    }

    let _reset = Reset(RECENT_WILL_DO.replace(true));
    f()
}

/// Reads the clock: nanoseconds since this process has first done so.
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

/// Now, or nearly so if that will do.
#[inline]
pub(crate) fn now_or_recent() -> u64 {
    if RECENT_WILL_DO.get() {
        LATEST.get().unwrap_or_else(now)
    } else {
        read()
    }
}

thread_local! {
    static RECENT_WILL_DO: Cell<bool> = const { Cell::new(false) };
    static LATEST: Cell<Option<u64>> = const { Cell::new(None) };
}
