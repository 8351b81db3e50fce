//! What an endpoint has answered, without a lock.

use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use tower_classify::Class;

/// The successes of an endpoint that its detector has not been told of, and the requests that wait for it. Alone in its cache
/// lines, since each request of the endpoint writes here.
#[allow(unreachable_pub, unnameable_types, reason = "sealed")]
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Answers {
    /// The successes times [`SUCCESS`], and the requests that wait: one addition when a request begins, and one when it ends.
    word: AtomicU64,
    /// Since the last sweep.
    answered: AtomicBool,
    /// Whether it was ejected by its silence. Written with the detector locked.
    silenced: AtomicBool,
    /// How many waited at the last sweep. Only sweeps write this and the next.
    before: AtomicUsize,
    /// How many were counted as failures since the last answer.
    counted: AtomicUsize,
}

impl Answers {
    /// A request begins.
    pub(super) fn wait(&self) {
        self.word.fetch_add(1, Ordering::Relaxed);
    }

    /// A request has ended; `waited`, if it has [waited](Self::wait). Returns whether the endpoint has succeeded and was ejected
    /// by its silence: then it is to be [heard](Self::hear).
    ///
    /// The order in which a sweep sees the counts does not matter: at worst a request that ends during it is counted as one
    /// that waits, and its success takes that back.
    pub(super) fn end(&self, class: Class, waited: bool) -> bool {
        let succeeded = class == Class::Success;
        let ended = u64::from(succeeded) * SUCCESS;
        let ended = ended.wrapping_sub(u64::from(waited));
        if ended != 0 {
            // Either `silence` takes this success, or it came before, and what it wrote is seen here.
            self.word.fetch_add(ended, Ordering::AcqRel);
        }
        // Most requests find it set.
        if waited && class != Class::Ignored && !self.answered.load(Ordering::Relaxed) {
            self.answered.store(true, Ordering::Relaxed);
        }
        succeeded && self.silenced.load(Ordering::Relaxed)
    }

    /// The successes so far. With the detector locked.
    pub(super) fn take(&self) -> u64 {
        // Most endpoints of a balancer may have had none, and reading leaves the cache line where it is.
        match self.word.load(Ordering::Relaxed) / SUCCESS {
            0 => 0,
            _ => self.word.fetch_and(SUCCESS - 1, Ordering::AcqRel) / SUCCESS,
        }
    }

    /// An interval is over: how many requests have waited for all of it without an answer to any, and are to be counted.
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

    /// The endpoint is ejected by its silence. `false` if it has succeeded meanwhile: then it is not to be. With the detector
    /// locked.
    pub(super) fn silence(&self) -> bool {
        self.silenced.store(true, Ordering::Relaxed);
        let silent = self.word.fetch_and(SUCCESS - 1, Ordering::AcqRel) < SUCCESS;
        if !silent {
            self.hear();
        }
        silent
    }

    /// Whether it was ejected by its silence, and is so no more. With the detector locked.
    pub(super) fn hear(&self) -> bool {
        self.silenced.load(Ordering::Relaxed) && self.silenced.swap(false, Ordering::Relaxed)
    }
}

/// Sixteen million requests may wait, and 2⁴⁰ succeed between two sweeps.
const SUCCESS: u64 = 1 << 24;

#[cfg(all(test, tower_loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    /// A success while the endpoint is ejected by its silence: one of the two sees the other.
    #[test]
    fn a_success_keeps_the_endpoint_in_or_lets_it_return() {
        loom::model(|| {
            let answers = Arc::new(Answers::default());
            let other = Arc::clone(&answers);
            answers.wait();
            let request = thread::spawn(move || other.end(Class::Success, true));
            let told = answers.take();
            let ejected = answers.silence();
            let returns = request.join().unwrap();
            assert!(told == 1 || !ejected || returns);
        });
    }

    #[test]
    fn each_success_is_taken_once() {
        loom::model(|| {
            let answers = Arc::new(Answers::default());
            let other = Arc::clone(&answers);
            (0..3).for_each(|_| answers.wait());
            let request = thread::spawn(move || {
                other.end(Class::Success, true);
                other.end(Class::Success, true);
            });
            let first = answers.take();
            request.join().unwrap();
            assert_eq!(first + answers.take(), 2);
            assert_eq!(answers.take(), 0);
            assert_eq!(answers.word.load(Ordering::Relaxed), 1, "the third waits");
        });
    }
}
