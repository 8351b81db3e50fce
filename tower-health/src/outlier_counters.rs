//! Lock-free counters of one endpoint: its successes, and its requests in flight.

use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use tower_classify::Class;

/// The successes of an endpoint that are not yet recorded by its detector, and its requests in flight. Aligned to its
/// own cache lines, because each request to the endpoint writes here.
#[allow(unreachable_pub, unnameable_types, reason = "sealed")]
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct OutlierCounters {
    /// The successes times [`SUCCESS`], plus the requests in flight: one addition when a request begins, one when it
    /// ends.
    word: AtomicU64,
    /// Whether any request was answered since the last sweep.
    answered: AtomicBool,
    /// Whether the endpoint was ejected for silence. Written with the detector locked.
    silenced: AtomicBool,
    /// The requests in flight at the last sweep. Only sweeps write this field and the next.
    before: AtomicUsize,
    /// The requests that were counted as failures since the last answer.
    counted: AtomicUsize,
}

impl OutlierCounters {
    /// Counts a request that begins.
    pub(super) fn wait(&self) {
        self.word.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that ends; `waited` is true if [`wait`](Self::wait) was called for it. Returns true if the
    /// request succeeded and the endpoint is ejected for silence: the caller must then call
    /// [`clear_silent`](Self::clear_silent).
    ///
    /// The order in which a sweep sees the counts does not matter: at worst, a request that ends during the sweep is
    /// counted as in flight, and its success undoes that.
    pub(super) fn end(&self, class: Class, waited: bool) -> bool {
        let succeeded = class == Class::Success;
        let ended = u64::from(succeeded) * SUCCESS;
        let ended = ended.wrapping_sub(u64::from(waited));
        if ended != 0 {
            // Either `mark_silent` sees this success, or this operation comes after it and sees `silenced`.
            self.word.fetch_add(ended, Ordering::AcqRel);
        }
        // Usually it is set already; the load keeps the cache line shared.
        if waited && class != Class::Ignored && !self.answered.load(Ordering::Relaxed) {
            self.answered.store(true, Ordering::Relaxed);
        }
        succeeded && self.silenced.load(Ordering::Relaxed)
    }

    /// Takes the successes that are not yet recorded. Call it with the detector locked.
    pub(super) fn take(&self) -> u64 {
        // Many endpoints may have had no successes, and a load keeps the cache line shared.
        match self.word.load(Ordering::Relaxed) / SUCCESS {
            0 => 0,
            _ => self.word.fetch_and(SUCCESS - 1, Ordering::AcqRel) / SUCCESS,
        }
    }

    /// Ends an interval. Returns the number of requests that were in flight for all of it and are not yet counted as
    /// failures, or 0 if any request was answered.
    pub(super) fn sweep(&self) -> usize {
        let now = (self.word.load(Ordering::Relaxed) % SUCCESS) as usize;
        let before = self.before.swap(now, Ordering::Relaxed);
        if self.answered.swap(false, Ordering::Relaxed) {
            self.counted.store(0, Ordering::Relaxed);
            return 0;
        }
        let silent = now.min(before);
        let counted = self.counted.load(Ordering::Relaxed);
        self.counted.store(counted.max(silent), Ordering::Relaxed);
        silent.saturating_sub(counted)
    }

    /// Marks the endpoint as ejected for silence. Returns `false` if it has succeeded in the meantime and must not be
    /// ejected. Call it with the detector locked.
    pub(super) fn mark_silent(&self) -> bool {
        self.silenced.store(true, Ordering::Relaxed);
        let silent = self.word.fetch_and(SUCCESS - 1, Ordering::AcqRel) < SUCCESS;
        if !silent {
            self.clear_silent();
        }
        silent
    }

    /// Clears the mark of [`mark_silent`](Self::mark_silent). Returns whether it was set. Call it with the detector
    /// locked.
    pub(super) fn clear_silent(&self) -> bool {
        self.silenced.load(Ordering::Relaxed) && self.silenced.swap(false, Ordering::Relaxed)
    }
}

/// Leaves room for sixteen million requests in flight, and for 2⁴⁰ successes between two sweeps.
const SUCCESS: u64 = 1 << 24;

#[cfg(all(test, tower_loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    /// A request succeeds while the endpoint is being ejected for silence: one of the two sees the other.
    #[test]
    fn a_concurrent_success_prevents_or_ends_the_ejection() {
        loom::model(|| {
            let counters = Arc::new(OutlierCounters::default());
            let other = Arc::clone(&counters);
            counters.wait();
            let request = thread::spawn(move || other.end(Class::Success, true));
            let told = counters.take();
            let ejected = counters.mark_silent();
            let returns = request.join().unwrap();
            assert!(told == 1 || !ejected || returns);
        });
    }

    #[test]
    fn each_success_is_taken_once() {
        loom::model(|| {
            let counters = Arc::new(OutlierCounters::default());
            let other = Arc::clone(&counters);
            (0..3).for_each(|_| counters.wait());
            let request = thread::spawn(move || {
                other.end(Class::Success, true);
                other.end(Class::Success, true);
            });
            let first = counters.take();
            request.join().unwrap();
            assert_eq!(first + counters.take(), 2);
            assert_eq!(counters.take(), 0);
            assert_eq!(
                counters.word.load(Ordering::Relaxed),
                1,
                "the third is in flight"
            );
        });
    }
}
