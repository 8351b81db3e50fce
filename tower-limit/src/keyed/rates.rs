use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use tokio::time::Instant;
use tower_readiness::{Observer, event};

use super::KeyLimit;
use super::shards::Shards;
use crate::Event;
use crate::error::{InvalidLimit, LimitExceeded, LimitKind};
use crate::rate::TokenBucket;
use crate::rate::gcra::{Gcra, duration, ticks};

/// A [`TokenBucket`] for each key. Clones share them.
///
/// ```
/// use std::time::Duration;
/// use tower_limit::keyed::KeyRates;
/// use tower_limit::rate::{Rate, TokenBucket};
///
/// let bucket = TokenBucket::new(Rate::new(1, Duration::from_secs(60)), 2);
/// let rates = KeyRates::new(bucket, 10_000);
/// assert!(rates.take("alice").is_ok() && rates.take("alice").is_ok());
/// assert!(rates.take("alice").unwrap_err().retry_after().is_some());
/// assert!(rates.take("bob").is_ok());
/// assert_eq!(rates.keys(), 2);
/// ```
pub struct KeyRates<K> {
    shared: Arc<Shared<K>>,
}

struct Shared<K> {
    bucket: Gcra,
    start: Instant,
    /// The states of the buckets.
    shards: Shards<K, u64>,
}

impl<K: Hash + Eq> KeyRates<K> {
    /// Creates a limit with a `bucket` for each of up to `max_keys` keys.
    ///
    /// # Panics
    ///
    /// If `max_keys` is zero, or greater than 2³².
    pub fn new(bucket: TokenBucket, max_keys: usize) -> Self {
        Self::try_new(bucket, max_keys).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Creates a limit with a `bucket` for each of up to `max_keys` keys.
    ///
    /// # Errors
    ///
    /// If `max_keys` is zero, or greater than 2³².
    pub fn try_new(bucket: TokenBucket, max_keys: usize) -> Result<Self, InvalidLimit> {
        let shared = Arc::new(Shared {
            bucket: Gcra::new(bucket),
            start: Instant::now(),
            shards: Shards::new(max_keys)?,
        });
        Ok(Self { shared })
    }

    /// Takes a token of the key's bucket.
    ///
    /// # Errors
    ///
    /// If the bucket is empty; the error says when it is not.
    pub fn take(&self, key: K) -> Result<(), LimitExceeded> {
        self.admit(key, &Observer::none())
    }

    /// Returns the number of keys that are known.
    pub fn keys(&self) -> usize {
        self.shared.shards.keys()
    }
}

impl<K: Hash + Eq> KeyLimit for KeyRates<K> {
    type Key = K;
    type Permit = ();

    fn admit(&self, key: K, observer: &Observer<Event>) -> Result<(), LimitExceeded> {
        let Shared {
            bucket,
            start,
            shards,
        } = &*self.shared;
        let now = ticks(Instant::now().saturating_duration_since(*start));
        let place = shards.place(&key);
        let mut table = shards.lock(place.shard);
        if let Some(index) = table.find(place.hash, &key) {
            let full_at = table.value_mut(index);
            return match bucket.take(*full_at, now) {
                Ok(next) => {
                    *full_at = next;
                    Ok(())
                }
                Err(earliest) => {
                    let after = duration(earliest - now);
                    Err(LimitExceeded::new(LimitKind::KeyRate, Some(after)))
                }
            };
        }
        // Its bucket is full, and holds a token at least.
        let full_at = bucket.take(0, now).unwrap_or(now);
        if !table.is_full() {
            table.insert(place.hash, key, full_at);
            return Ok(());
        }
        // What is lost with a key is what its bucket lacks.
        let Some((index, lost)) = table.victim(|full_at| full_at.saturating_sub(now)) else {
            return Ok(());
        };
        let forgotten = table.replace(index, place.hash, key, full_at);
        drop(table);
        drop(forgotten);
        if lost > 0 {
            event!(DEBUG, "too many keys: forgetting one that is not idle");
            observer.notify(&Event::Forgot);
        }
        Ok(())
    }
}

impl<K> Clone for KeyRates<K> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<K> fmt::Debug for KeyRates<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRates")
            .field("bucket", &self.shared.bucket)
            .finish_non_exhaustive()
    }
}
