//! Tables with a lock each.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, MutexGuard};

use tower_readiness::ignore_poison;

/// Tables `T`. Which one holds a key depends on a keyed hash, so that a client, which does not know
/// the process's random numbers, cannot choose keys that share a shard.
#[derive(Debug)]
pub(crate) struct Shards<T> {
    /// A power of two of them.
    shards: Box<[Shard<T>]>,
    hasher: RandomState,
}

/// Alone in its cache lines, so that threads with keys in different shards do not contend.
#[derive(Debug)]
#[repr(align(128))]
struct Shard<T>(Mutex<T>);

impl<T> Shards<T> {
    /// Creates the shards for `max` keys together; `make` receives the maximum of one shard.
    pub(crate) fn new(max: usize, make: impl Fn(usize) -> T) -> Self {
        let count = 1_usize << (max / MIN_KEYS_OF_SHARD).clamp(1, MAX_SHARDS).ilog2();
        // Together exactly `max`.
        let until = |shard: usize| (max as u128 * shard as u128 / count as u128) as usize;
        let shards = (0..count).map(|shard| {
            let max = until(shard + 1) - until(shard);
            Shard(Mutex::new(make(max)))
        });
        Self {
            shards: shards.collect(),
            hasher: RandomState::new(),
        }
    }

    #[inline]
    pub(crate) fn hash(&self, key: &impl Hash) -> u64 {
        self.hasher.hash_one(key)
    }

    /// Locks the shard of the keys with this hash.
    #[inline]
    pub(crate) fn lock(&self, hash: u64) -> MutexGuard<'_, T> {
        // Not the bits by which the table of a shard finds a key.
        let shard = (hash >> 40) as usize & (self.shards.len() - 1);
        ignore_poison(self.shards[shard].0.lock())
    }

    /// Locks one shard after the other.
    pub(crate) fn each(&self) -> impl Iterator<Item = MutexGuard<'_, T>> {
        self.shards
            .iter()
            .map(|shard| ignore_poison(shard.0.lock()))
    }
}

/// With more, the locks of two threads that use different keys collide in less than 2 % of the cases, which is not worth the
/// memory.
const MAX_SHARDS: usize = 64;

/// With fewer keys per shard, the shards would fill up too unevenly.
const MIN_KEYS_OF_SHARD: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_together_have_the_maximum() {
        for max in [1, 63, 64, 127, 1000, 4095, 4096, 100_003] {
            let shards = Shards::new(max, |max| max);
            assert_eq!(shards.each().map(|max| *max).sum::<usize>(), max);
        }
    }
}
