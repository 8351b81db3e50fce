//! The breakers of all keys.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hash};

use tokio::time::Instant;
use tower_classify::Class;
use tower_readiness::{Observer, event, ignore_poison};
use tower_util::InvalidPolicy;
use tower_util::rng::{Rng, SplitMix};

use super::lru::{Lru, Slot};
use crate::call::Ledger;
use crate::error::Open;
use crate::policy::{BreakerPolicy, Circuit, Outcome, State, Ticket};
use crate::sync::{Mutex, MutexGuard};
use crate::{Event, KeyEvent};

/// The breakers of the keys, by the hash of the key in one of several shards, so that requests rarely wait for a lock.
#[allow(unreachable_pub, unnameable_types, reason = "sealed")]
pub struct Shards<K> {
    shards: Box<[Shard<K>]>,
    hasher: RandomState,
    /// Cloned for each key.
    closed: Circuit,
    measures_time: bool,
    pub(super) observer: Observer<KeyEvent<K>>,
}

/// Aligned to its own cache lines.
#[repr(align(128))]
struct Shard<K>(Mutex<Content<K>>);

struct Content<K> {
    circuits: Lru<K, Circuit>,
    rng: SplitMix,
}

/// A request in flight.
#[allow(unreachable_pub, unnameable_types, reason = "sealed")]
#[derive(Debug)]
pub struct KeyTicket {
    shard: usize,
    slot: Slot,
    ticket: Ticket,
}

impl<K: Hash + Eq + Clone> Shards<K> {
    pub(super) const BYTES_PER_KEY: usize = Lru::<K, Circuit>::BYTES_PER_ENTRY;

    pub(super) fn new(policy: BreakerPolicy, max_keys: usize) -> Result<Self, InvalidPolicy> {
        InvalidPolicy::ensure(max_keys > 0, "the number of keys must be at least 1")?;
        let measures_time = policy.slow_threshold().is_some();
        let closed = Circuit::new(policy)?;
        let shards = shards_of(max_keys);
        let shard = |_| {
            Shard(Mutex::new(Content {
                circuits: Lru::new(max_keys / shards),
                rng: SplitMix::new(),
            }))
        };
        Ok(Self {
            shards: (0..shards).map(shard).collect(),
            hasher: RandomState::new(),
            closed,
            measures_time,
            observer: Observer::none(),
        })
    }

    pub(super) fn set_seed(&mut self, seed: u64) {
        let mut rng = SplitMix::with_seed(seed);
        for Shard(content) in &self.shards {
            ignore_poison(content.lock()).rng = SplitMix::with_seed(rng.next_u64());
        }
    }

    pub(super) fn len(&self) -> usize {
        let lengths = self
            .shards
            .iter()
            .map(|Shard(content)| ignore_poison(content.lock()).circuits.len());
        lengths.sum()
    }

    /// Begins a request, unless the breaker of the key is open.
    pub(super) fn begin(&self, key: K) -> Result<KeyTicket, Open> {
        let (shard, hash) = self.shard_of(&key);
        // Dropped after the lock is released, as is `key`.
        let mut forgotten = None;
        let mut content = self.lock(shard);
        let (slot, circuit) = content
            .circuits
            .get(hash, &key, &mut forgotten, || self.closed.clone());
        if circuit.is_closed() {
            let ticket = Ticket::new(circuit.life());
            return Ok(KeyTicket {
                shard,
                slot,
                ticket,
            });
        }
        let now = Instant::now();
        let event = circuit.advance(now);
        let begun = circuit.begin(now);
        let rejected = begun.as_ref().err().map(|open| Event::Rejected {
            retry_after: open.retry_after(),
        });
        drop(content);
        for event in event.into_iter().chain(rejected) {
            self.emit(&key, event);
        }
        begun.map(|ticket| KeyTicket {
            shard,
            slot,
            ticket,
        })
    }

    /// Returns the state of a key, or `None` if it is not known.
    pub(super) fn state(&self, key: &K) -> Option<State> {
        let (shard, hash) = self.shard_of(key);
        let now = Instant::now();
        let mut content = self.lock(shard);
        let circuit = content.circuits.peek(hash, key)?;
        Some(circuit.state(now))
    }

    /// Changes the breaker of a key, which is created if it is not known.
    pub(super) fn control(&self, key: &K, change: impl FnOnce(&mut Circuit) -> Option<Event>) {
        let (shard, hash) = self.shard_of(key);
        let mut forgotten = None;
        let mut content = self.lock(shard);
        let (_, circuit) = content
            .circuits
            .get(hash, key, &mut forgotten, || self.closed.clone());
        let event = change(circuit);
        drop(content);
        if let Some(event) = event {
            self.emit(key, event);
        }
    }

    fn shard_of(&self, key: &K) -> (usize, u64) {
        let hash = self.hasher.hash_one(key);
        // By the upper half: the map within a shard uses the lower bits, and the highest seven.
        ((hash >> 32) as usize & (self.shards.len() - 1), hash)
    }
}

impl<K: Clone> Shards<K> {
    fn lock(&self, shard: usize) -> MutexGuard<'_, Content<K>> {
        ignore_poison(self.shards[shard].0.lock())
    }

    #[cold]
    fn emit(&self, key: &K, event: Event) {
        event!(DEBUG, ?event, "circuit breaker of a key");
        let key = key.clone();
        self.observer.notify(&KeyEvent { key, event });
    }
}

impl<K: Eq + Clone> Ledger for Shards<K> {
    type Ticket = KeyTicket;

    fn measures_time(&self) -> bool {
        self.measures_time
    }

    fn end(&self, ticket: KeyTicket, class: Class, began: Option<Instant>) {
        let KeyTicket {
            shard,
            slot,
            ticket,
        } = ticket;
        let now = Instant::now();
        let outcome = Outcome::between(class, began, now);
        let mut content = self.lock(shard);
        let Content { circuits, rng } = &mut *content;
        // The key may have been forgotten since.
        let Some((key, circuit)) = circuits.at(slot) else {
            return;
        };
        if let Some(event) = circuit.end(ticket, outcome, now, rng) {
            let key = key.clone();
            drop(content);
            self.emit(&key, event);
        }
    }
}

impl<K> fmt::Debug for Shards<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shards")
            .field("shards", &self.shards.len())
            .finish_non_exhaustive()
    }
}

/// Returns the number of shards, a power of two: each has room for at least eight keys, unless there is only one.
const fn shards_of(max_keys: usize) -> usize {
    match max_keys / 8 {
        0 | 1 => 1,
        shards if shards >= MAX_SHARDS => MAX_SHARDS,
        shards => 1 << shards.ilog2(),
    }
}

const MAX_SHARDS: usize = 32;

#[cfg(all(test, not(tower_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_million_keys_take_the_stated_memory() {
        let policy = BreakerPolicy::standard();
        let shards = Shards::<u64>::new(policy, 100_000).unwrap();
        for key in 0..1_000_000 {
            let _in_flight = shards.begin(key).unwrap();
        }
        // Keys are distributed at random, and each shard is bounded.
        assert_eq!(shards.len(), 100_000);
        let bytes = Shards::<u64>::BYTES_PER_KEY;
        assert!(bytes <= 320 + size_of::<u64>(), "{bytes}");
    }

    #[test]
    fn the_bound_holds_for_any_number_of_shards() {
        for max_keys in [1, 7, 8, 15, 16, 100, 1000, 1_000_000] {
            let shards = shards_of(max_keys);
            assert!(shards.is_power_of_two() && shards <= 32);
            assert!(shards == 1 || max_keys / shards >= 8, "{max_keys}");
        }
    }
}
