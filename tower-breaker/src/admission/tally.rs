//! Counts of a sliding window that are incremented without a lock.

use std::time::Duration;

use tokio::time::Instant;
use tower_readiness::ignore_poison;

use crate::policy::Window;
use crate::sync::{AtomicU64, Mutex, Ordering};

/// A [`Window`], and what it has not recorded yet: the counts of the current step are atomics.
///
/// An increment belongs to the step in which the counts were last read, so it may be late by a step if there are no
/// requests. While a step ends, a reader may miss its counts, or count them twice.
#[derive(Debug)]
pub(super) struct Tally<const N: usize> {
    window: Mutex<Window<N>>,
    start: Instant,
    /// Written by each request, so it has its own cache lines.
    fresh: Counters<N>,
    known: Known<N>,
}

#[derive(Debug)]
#[repr(align(128))]
struct Counters<const N: usize>([AtomicU64; N]);

/// What each request reads. Written with the window locked.
#[derive(Debug)]
#[repr(align(128))]
struct Known<const N: usize> {
    /// The counts of the earlier steps.
    earlier: [AtomicU64; N],
    /// When the oldest step began, in nanoseconds since the start.
    oldest: AtomicU64,
    /// When the current step ends, in nanoseconds since the start.
    until: AtomicU64,
}

impl<const N: usize> Tally<N> {
    pub(super) fn new(window: Duration, now: Instant) -> Self {
        let zero = || [(); N].map(|()| AtomicU64::new(0));
        Self {
            window: Mutex::new(Window::new(window)),
            start: now,
            fresh: Counters(zero()),
            known: Known {
                earlier: zero(),
                oldest: AtomicU64::new(0),
                until: AtomicU64::new(0),
            },
        }
    }

    /// Returns the counts, and how much time they cover.
    #[inline]
    pub(super) fn read(&self, now: Instant) -> ([u64; N], Duration) {
        let since = nanos(now.saturating_duration_since(self.start));
        if since >= self.known.until.load(Ordering::Relaxed) {
            self.advance(now);
        }
        let counts = std::array::from_fn(|index| {
            let load = |counts: &[AtomicU64; N]| counts[index].load(Ordering::Relaxed);
            load(&self.known.earlier) + load(&self.fresh.0)
        });
        let covered = since.saturating_sub(self.known.oldest.load(Ordering::Relaxed));
        (counts, Duration::from_nanos(covered))
    }

    #[inline]
    pub(super) fn increment(&self, index: usize) {
        self.fresh.0[index].fetch_add(1, Ordering::Relaxed);
    }

    #[cold]
    fn advance(&self, now: Instant) {
        let mut window = ignore_poison(self.window.lock());
        let ended = self
            .fresh
            .0
            .each_ref()
            .map(|count| u32::try_from(count.swap(0, Ordering::Relaxed)).unwrap_or(u32::MAX));
        window.record_earlier(ended);
        window.advance(now);
        for (known, total) in self.known.earlier.iter().zip(window.totals()) {
            known.store(total, Ordering::Relaxed);
        }
        let since = |at: Instant| nanos(at.saturating_duration_since(self.start));
        let oldest = window.oldest().map_or(0, since);
        self.known.oldest.store(oldest, Ordering::Relaxed);
        let until = window.step_ends().map_or(u64::MAX, since);
        self.known.until.store(until, Ordering::Relaxed);
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(all(test, not(tower_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The oracle is a window that records each increment at once, when it is read before.
        #[test]
        fn counts_are_those_of_the_window(
            steps in prop::collection::vec((0_u64..300, 0_usize..3), 0..200),
        ) {
            let window = Duration::from_millis(1000);
            let start = Instant::now();
            let mut now = start;
            let tally = Tally::<2>::new(window, now);
            let mut oracle = Window::<2>::new(window);
            for (millis, index) in steps {
                now += Duration::from_millis(millis);
                oracle.advance(now);
                let (counts, covered) = tally.read(now);
                prop_assert_eq!(counts, oracle.totals());
                prop_assert_eq!(covered, now - oracle.oldest().unwrap());
                if index < 2 {
                    tally.increment(index);
                    let mut add = [0; 2];
                    add[index] = 1;
                    oracle.record(add, now);
                }
            }
        }
    }
}

#[cfg(all(test, tower_loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    /// An increment while the step ends is in the old step or in the new one.
    #[test]
    fn no_increment_is_lost() {
        loom::model(|| {
            let start = Instant::now();
            let tally = Arc::new(Tally::<1>::new(Duration::from_secs(10), start));
            tally.read(start);
            let other = {
                let tally = Arc::clone(&tally);
                thread::spawn(move || tally.increment(0))
            };
            let later = start + Duration::from_secs(1);
            tally.increment(0);
            tally.read(later);
            other.join().unwrap();
            assert_eq!(tally.read(later).0, [2]);
        });
    }
}
