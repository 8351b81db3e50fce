//! Sharded counters that are incremented by all threads.

use std::sync::OnceLock;
use std::sync::atomic::AtomicUsize;

use crate::sync::{AtomicU32, Ordering};

/// Counts by bucket.
///
/// All orderings are relaxed: each counter is independent, and nothing is inferred from one about another.
///
/// A counter wraps around at 2³² within one slice, which takes a million requests per second in one bucket for more
/// than an hour. The threshold is then wrong for the length of a window.
#[derive(Debug)]
pub(super) struct Counts {
    shards: Box<[Box<[AtomicU32]>]>,
}

impl Counts {
    pub(super) fn new(shards: usize, buckets: usize) -> Self {
        let shard = || (0..buckets).map(|_| AtomicU32::new(0)).collect();
        Self {
            shards: (0..shards.max(1)).map(|_| shard()).collect(),
        }
    }

    /// Increments the count of a bucket, in any of the shards.
    #[inline]
    pub(super) fn add(&self, shard: usize, bucket: usize) {
        self.shards[shard % self.shards.len()][bucket].fetch_add(1, Ordering::Relaxed);
    }

    /// Moves the counts into `sum`. A concurrent increment is in this sum or in the next.
    pub(super) fn drain_into(&self, sum: &mut [u32]) {
        for shard in &self.shards {
            for (sum, count) in sum.iter_mut().zip(shard) {
                // Most are zero, and a load keeps the cache line shared.
                if count.load(Ordering::Relaxed) != 0 {
                    *sum = sum.saturating_add(count.swap(0, Ordering::Relaxed));
                }
            }
        }
    }
}

/// Returns the shard of this thread. Threads are assigned round robin, so that up to `MAX_SHARDS` of them have one
/// each.
pub(super) fn shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SHARD: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    // The thread-local of an exiting thread may be destroyed already.
    SHARD.try_with(|shard| *shard).unwrap_or(0)
}

/// Returns the number of shards: one for each CPU, up to [`MAX_SHARDS`].
pub(super) fn shards() -> usize {
    static SHARDS: OnceLock<usize> = OnceLock::new();
    *SHARDS.get_or_init(|| {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        cpus.min(MAX_SHARDS)
    })
}

/// More shards cost more memory than they save in contention.
const MAX_SHARDS: usize = 8;

#[cfg(all(test, not(tower_loom)))]
mod tests {
    use super::*;

    #[test]
    fn draining_moves_the_counts_of_all_shards() {
        let counts = Counts::new(2, 3);
        counts.add(0, 1);
        counts.add(1, 1);
        counts.add(7, 2);
        let mut sum = [1; 3];
        counts.drain_into(&mut sum);
        assert_eq!(sum, [1, 3, 2]);
        counts.drain_into(&mut sum);
        assert_eq!(sum, [1, 3, 2]);
    }
}

#[cfg(all(test, tower_loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    /// A concurrent increment is in this sum or in the next.
    #[test]
    fn each_increment_is_drained_exactly_once() {
        loom::model(|| {
            let counts = Arc::new(Counts::new(1, 1));
            let others = [(); 2].map(|()| {
                let counts = Arc::clone(&counts);
                thread::spawn(move || counts.add(0, 0))
            });
            let mut sum = [0];
            counts.drain_into(&mut sum);
            for other in others {
                other.join().unwrap();
            }
            counts.drain_into(&mut sum);
            assert_eq!(sum, [2]);
        });
    }
}
