use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::InvalidCache;
use crate::lru::Lru;
use crate::shards::Shards;

/// The responses `V` that a [`Cache`](crate::Cache) stores, by their key `K`. Clones share the entries.
///
/// Keep a clone to remove entries that are known to be outdated.
pub struct Store<K, V> {
    shared: Arc<Shared<K, V>>,
}

struct Shared<K, V> {
    /// The values are shared, so that they are cloned and dropped without a lock.
    shards: Shards<Lru<K, Arc<V>>>,
    ttl: Duration,
}

/// Where a response belongs that is on its way. It is not stored if entries were removed in the meantime, as it may be older.
#[derive(Debug)]
pub(crate) struct Vacancy<K> {
    key: K,
    hash: u64,
    removals: u64,
}

impl<K: Hash + Eq, V> Store<K, V> {
    /// Creates a store of at most `max_entries`, each of which is used for `ttl`.
    ///
    /// The entries are spread over up to 64 shards, at least 64 per shard if there are that many, with a lock each. A shard that
    /// is full evicts its least recently used entry; as the shards do not fill up evenly, that begins before all are full.
    ///
    /// # Panics
    ///
    /// If `max_entries` or `ttl` is zero.
    pub fn new(max_entries: usize, ttl: Duration) -> Self {
        match Self::try_new(max_entries, ttl) {
            Ok(store) => store,
            Err(error) => panic!("{error}"),
        }
    }

    /// Like [`new`](Self::new), with an error instead of a panic.
    ///
    /// # Errors
    ///
    /// If `max_entries` or `ttl` is zero.
    pub fn try_new(max_entries: usize, ttl: Duration) -> Result<Self, InvalidCache> {
        if max_entries == 0 {
            return Err(InvalidCache::NoEntries);
        }
        if ttl.is_zero() {
            return Err(InvalidCache::NoTtl);
        }
        let shards = Shards::new(max_entries, Lru::new);
        let shared = Arc::new(Shared { shards, ttl });
        Ok(Self { shared })
    }

    /// Removes the response of `key`, and returns whether there was one. Requests that are in flight now will not be stored if
    /// their keys are in the same shard as this one.
    pub fn remove(&self, key: &K) -> bool {
        let shards = &self.shared.shards;
        let hash = shards.hash(key);
        // Dropped when the lock is released: at the end of the statement.
        let removed = shards.lock(hash).remove(hash, key);
        removed.is_some()
    }

    /// Removes all responses. Requests that are in flight now will not be stored.
    pub fn clear(&self) {
        for mut shard in self.shared.shards.each() {
            let removed = shard.clear();
            drop(shard);
            drop(removed);
        }
    }

    /// Returns the number of stored responses, including those that have expired and have not been replaced yet.
    pub fn len(&self) -> usize {
        self.shared.shards.each().map(|shard| shard.len()).sum()
    }

    /// Returns whether nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the response of `key`, or where to store it.
    #[inline]
    pub(crate) fn find(&self, key: K) -> Result<Arc<V>, Vacancy<K>> {
        let hash = self.shared.shards.hash(&key);
        let now = Instant::now();
        let mut shard = self.shared.shards.lock(hash);
        match shard.get(hash, &key, now) {
            Some(found) => Ok(Arc::clone(found)),
            None => Err(Vacancy {
                removals: shard.removals(),
                key,
                hash,
            }),
        }
    }

    /// Stores a response. Returns whether another was evicted that could still have been used.
    pub(crate) fn fill(&self, vacancy: Vacancy<K>, value: V) -> bool {
        let Vacancy {
            key,
            hash,
            removals,
        } = vacancy;
        let value = Arc::new(value);
        let now = Instant::now();
        let expires = now.checked_add(self.shared.ttl);
        let mut shard = self.shared.shards.lock(hash);
        if shard.removals() != removals {
            return false;
        }
        let inserted = shard.insert(hash, key, value, now, expires);
        drop(shard);
        inserted.evicted
    }
}

impl<K, V> Clone for Store<K, V> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<K, V> fmt::Debug for Store<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("ttl", &self.shared.ttl)
            .finish_non_exhaustive()
    }
}
