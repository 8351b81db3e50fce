use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use tower_readiness::Observer;

use super::KeyLimit;
use super::shards::Shards;
use crate::Event;
use crate::error::{InvalidLimit, LimitExceeded, LimitKind};

/// A number of permits for each key. Clones share them.
///
/// ```
/// use tower_limit::keyed::KeyPermits;
///
/// let permits = KeyPermits::new(1, 10_000);
/// let alice = permits.take("alice").unwrap();
/// assert!(permits.take("alice").is_err());
/// let _bob = permits.take("bob").unwrap();
/// drop(alice);
/// assert!(permits.take("alice").is_ok());
/// ```
pub struct KeyPermits<K> {
    shared: Arc<Shared<K>>,
}

struct Shared<K> {
    max: u32,
    /// How many permits are taken. Keys of which none is taken may be forgotten.
    shards: Shards<K, u32>,
}

/// A permit of a key, which is returned when it is dropped.
pub struct KeyPermit<K> {
    shared: Arc<Shared<K>>,
    shard: u32,
    /// Of the key, which is not forgotten while it has a permit.
    index: u32,
}

impl<K: Hash + Eq> KeyPermits<K> {
    /// Creates a limit of `max` permits for each of up to `max_keys` keys.
    ///
    /// # Panics
    ///
    /// If `max` or `max_keys` is zero, or `max_keys` is greater than 2³².
    pub fn new(max: usize, max_keys: usize) -> Self {
        Self::try_new(max, max_keys).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Creates a limit of `max` permits for each of up to `max_keys` keys.
    ///
    /// # Errors
    ///
    /// If `max` or `max_keys` is zero, or `max_keys` is greater than 2³².
    pub fn try_new(max: usize, max_keys: usize) -> Result<Self, InvalidLimit> {
        if max == 0 {
            return Err(InvalidLimit::NoPermits);
        }
        let shared = Arc::new(Shared {
            max: u32::try_from(max).unwrap_or(u32::MAX),
            shards: Shards::new(max_keys)?,
        });
        Ok(Self { shared })
    }

    /// Takes a permit of the key.
    ///
    /// # Errors
    ///
    /// If all its permits are taken; or if it is a new key, and none of the others can be forgotten for it.
    pub fn take(&self, key: K) -> Result<KeyPermit<K>, LimitExceeded> {
        self.admit(key, &Observer::none())
    }

    /// Returns the number of keys that are known.
    pub fn keys(&self) -> usize {
        self.shared.shards.keys()
    }

    fn permit(&self, shard: u32, index: u32) -> KeyPermit<K> {
        KeyPermit {
            shared: Arc::clone(&self.shared),
            shard,
            index,
        }
    }
}

impl<K: Hash + Eq> KeyLimit for KeyPermits<K> {
    type Key = K;
    type Permit = KeyPermit<K>;

    fn admit(&self, key: K, _: &Observer<Event>) -> Result<KeyPermit<K>, LimitExceeded> {
        let Shared { max, shards } = &*self.shared;
        let place = shards.place(&key);
        let mut table = shards.lock(place.shard);
        if let Some(index) = table.find(place.hash, &key) {
            let taken = table.value_mut(index);
            if *taken >= *max {
                return Err(LimitExceeded::new(LimitKind::KeyConcurrency, None));
            }
            *taken += 1;
            drop(table);
            return Ok(self.permit(place.shard, index));
        }
        if !table.is_full() {
            let index = table.insert(place.hash, key, 1);
            drop(table);
            return Ok(self.permit(place.shard, index));
        }
        let Some((index, 0)) = table.victim(|&taken| taken.into()) else {
            return Err(LimitExceeded::new(LimitKind::Keys, None));
        };
        let forgotten = table.replace(index, place.hash, key, 1);
        drop(table);
        drop(forgotten);
        Ok(self.permit(place.shard, index))
    }
}

impl<K> Drop for KeyPermit<K> {
    fn drop(&mut self) {
        let mut table = self.shared.shards.lock(self.shard);
        *table.value_mut(self.index) -= 1;
    }
}

impl<K> Clone for KeyPermits<K> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<K> fmt::Debug for KeyPermits<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPermits")
            .field("max", &self.shared.max)
            .finish_non_exhaustive()
    }
}

impl<K> fmt::Debug for KeyPermit<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPermit").finish_non_exhaustive()
    }
}
