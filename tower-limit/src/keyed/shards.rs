//! The keys of a limit, in shards with a lock each.

use std::hash::{BuildHasher, Hash, RandomState};

use tower_readiness::ignore_poison;

use super::table::Table;
use crate::error::InvalidLimit;
use crate::sync::{Mutex, MutexGuard};

/// Tables that are locked each for itself. Which one holds a key depends on a keyed hash, so that a client, which
/// does not know the process's random numbers, cannot choose keys that share a shard.
#[derive(Debug)]
pub(super) struct Shards<K, V> {
    /// A power of two of them.
    shards: Box<[Shard<K, V>]>,
    hasher: RandomState,
}

/// Alone in its cache lines, so that threads with keys in different shards do not contend.
#[derive(Debug)]
#[repr(align(128))]
struct Shard<K, V>(Mutex<Table<K, V>>);

/// Where a key is, or would be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) shard: u32,
    pub(super) hash: u32,
}

impl<K: Hash + Eq, V> Shards<K, V> {
    pub(super) fn new(max_keys: usize) -> Result<Self, InvalidLimit> {
        if max_keys == 0 || max_keys as u64 > 1 << 32 {
            return Err(InvalidLimit::Keys(max_keys));
        }
        let count = 1 << (max_keys / MIN_KEYS_OF_SHARD).clamp(1, MAX_SHARDS).ilog2();
        // Together exactly `max_keys`. Each has less than 2³² entries, the number that stands for none.
        let until = |shard: usize| (max_keys as u64 * shard as u64 / count as u64) as usize;
        let shards = (0..count).map(|shard| {
            let max_keys = until(shard + 1) - until(shard);
            Shard(Mutex::new(Table::new(max_keys)))
        });
        Ok(Self {
            shards: shards.collect(),
            hasher: RandomState::new(),
        })
    }

    #[inline]
    pub(super) fn place(&self, key: &K) -> Place {
        let hash = self.hasher.hash_one(key);
        let shard = (hash >> 32) as usize & (self.shards.len() - 1);
        Place {
            shard: shard as u32,
            hash: hash as u32,
        }
    }
}

impl<K, V> Shards<K, V> {
    #[inline]
    pub(super) fn lock(&self, shard: u32) -> MutexGuard<'_, Table<K, V>> {
        ignore_poison(self.shards[shard as usize].0.lock())
    }

    pub(super) fn keys(&self) -> usize {
        (0..self.shards.len() as u32)
            .map(|shard| self.lock(shard).len())
            .sum()
    }
}

/// With more, the locks of two threads that use different keys collide in less than 2 % of the cases, which is not worth the
/// memory.
const MAX_SHARDS: usize = 64;

/// With fewer keys per shard, the shards would fill up too unevenly.
const MIN_KEYS_OF_SHARD: usize = 64;

#[cfg(all(test, not(tower_loom)))]
mod tests {
    use super::*;

    #[test]
    fn shards_together_hold_the_maximum_number_of_keys() {
        for max_keys in [1, 63, 64, 127, 1000, 4095, 4096, 100_003] {
            let shards = Shards::<u64, ()>::new(max_keys).unwrap();
            let mut key = 0;
            for shard in 0..shards.shards.len() as u32 {
                let mut table = shards.lock(shard);
                while !table.is_full() {
                    table.insert(key as u32, key, ());
                    key += 1;
                }
            }
            assert_eq!(shards.keys(), max_keys);
        }
        assert_eq!(
            Shards::<u64, ()>::new(0).unwrap_err(),
            InvalidLimit::Keys(0)
        );
    }
}
