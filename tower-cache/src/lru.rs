//! The least recently used entries are forgotten. Pure: no locks, no clock.

use hashbrown::HashTable;
use slab::Slab;
use tokio::time::Instant;

/// At most `max` entries, each with the time until which it may be used.
#[derive(Debug)]
pub(crate) struct Lru<K, V> {
    entries: Slab<Entry<K, V>>,
    /// Their indices, by the hash of the key.
    index: HashTable<usize>,
    newest: usize,
    oldest: usize,
    max: usize,
    /// How often entries were removed on request.
    removals: u64,
}

#[derive(Debug)]
struct Entry<K, V> {
    key: K,
    value: V,
    hash: u64,
    /// `None` if it never expires.
    expires: Option<Instant>,
    newer: usize,
    older: usize,
}

/// The result of [`Lru::insert`].
#[derive(Debug, PartialEq)]
pub(crate) struct Inserted<K, V> {
    /// What is no longer stored, for the caller to drop when it has released its lock.
    pub(crate) displaced: Option<(K, V)>,
    /// It could still have been used.
    pub(crate) evicted: bool,
}

/// Instead of an index.
const NONE: usize = usize::MAX;

impl<K: Eq, V> Lru<K, V> {
    /// Creates a table of at most `max` entries, at least one.
    pub(crate) const fn new(max: usize) -> Self {
        Self {
            entries: Slab::new(),
            index: HashTable::new(),
            newest: NONE,
            oldest: NONE,
            max,
            removals: 0,
        }
    }

    /// Returns the number of entries, including expired ones.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns how often [`remove`](Self::remove) and [`clear`](Self::clear) were called.
    pub(crate) const fn removals(&self) -> u64 {
        self.removals
    }

    /// Returns the value of `key`, which is the most recently used one then, unless it has expired.
    #[inline]
    pub(crate) fn get(&mut self, hash: u64, key: &K, now: Instant) -> Option<&V> {
        let at = self.find(hash, key)?;
        if self.entries[at].is_expired(now) {
            return None;
        }
        if self.newest != at {
            self.unlink(at);
            self.link(at);
        }
        Some(&self.entries[at].value)
    }

    /// Stores a value until `expires`, in place of the previous one of the key, or of the least recently used one.
    pub(crate) fn insert(
        &mut self,
        hash: u64,
        key: K,
        value: V,
        now: Instant,
        expires: Option<Instant>,
    ) -> Inserted<K, V> {
        let mut evicted = false;
        let displaced = match self.find(hash, &key) {
            Some(at) => Some(self.take(at)),
            None if self.entries.len() >= self.max => {
                evicted = !self.entries[self.oldest].is_expired(now);
                Some(self.take(self.oldest))
            }
            None => None,
        };
        let at = self.entries.insert(Entry {
            key,
            value,
            hash,
            expires,
            newer: NONE,
            older: NONE,
        });
        let entries = &self.entries;
        self.index.insert_unique(hash, at, |&at| entries[at].hash);
        self.link(at);
        Inserted { displaced, evicted }
    }

    /// Removes the entry of `key`, and returns it for the caller to drop.
    pub(crate) fn remove(&mut self, hash: u64, key: &K) -> Option<(K, V)> {
        self.removals += 1;
        let at = self.find(hash, key)?;
        Some(self.take(at))
    }

    /// Removes all entries, and returns them for the caller to drop.
    pub(crate) fn clear(&mut self) -> Self {
        let empty = Self {
            removals: self.removals + 1,
            ..Self::new(self.max)
        };
        std::mem::replace(self, empty)
    }

    fn find(&self, hash: u64, key: &K) -> Option<usize> {
        let is_same = |&at: &usize| self.entries[at].hash == hash && self.entries[at].key == *key;
        self.index.find(hash, is_same).copied()
    }

    fn take(&mut self, at: usize) -> (K, V) {
        self.unlink(at);
        let entry = self.entries.remove(at);
        if let Ok(found) = self.index.find_entry(entry.hash, |&found| found == at) {
            found.remove();
        }
        (entry.key, entry.value)
    }

    /// Adds an entry to the list as the newest.
    fn link(&mut self, at: usize) {
        let older = std::mem::replace(&mut self.newest, at);
        let entry = &mut self.entries[at];
        (entry.newer, entry.older) = (NONE, older);
        match self.entries.get_mut(older) {
            Some(older) => older.newer = at,
            None => self.oldest = at,
        }
    }

    /// Removes an entry from the list.
    fn unlink(&mut self, at: usize) {
        let (newer, older) = (self.entries[at].newer, self.entries[at].older);
        match self.entries.get_mut(newer) {
            Some(newer) => newer.older = older,
            None => self.newest = older,
        }
        match self.entries.get_mut(older) {
            Some(older) => older.newer = newer,
            None => self.oldest = newer,
        }
    }
}

impl<K, V> Entry<K, V> {
    fn is_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Operation {
        Get(u32),
        /// With the milliseconds until it expires, or never.
        Insert(u32, Option<u64>),
        Remove(u32),
        Clear,
        /// Milliseconds.
        Wait(u64),
    }

    fn operation() -> impl Strategy<Value = Operation> {
        let key = 0..30_u32;
        prop_oneof![
            8 => key.clone().prop_map(Operation::Get),
            8 => (key.clone(), prop::option::of(1..50_u64)).prop_map(|(key, ttl)| Operation::Insert(key, ttl)),
            2 => key.prop_map(Operation::Remove),
            1 => Just(Operation::Clear),
            4 => (0..20_u64).prop_map(Operation::Wait),
        ]
    }

    /// Keys with the same hash are common.
    const fn hash(key: u32) -> u64 {
        (key % 7) as u64
    }

    proptest! {
        #[test]
        fn behaves_like_a_list_of_entries(
            max in 1..20_usize,
            operations in prop::collection::vec(operation(), 1..300),
        ) {
            let mut lru = Lru::new(max);
            let mut now = Instant::now();
            // Key, value and time, the least recently used first.
            let mut model: Vec<(u32, usize, Option<Instant>)> = Vec::new();
            let fresh = |expires: Option<Instant>, now: Instant| expires.is_none_or(|at| at > now);
            for (value, operation) in operations.into_iter().enumerate() {
                match operation {
                    Operation::Get(key) => {
                        let at = model.iter().position(|&(k, _, expires)| k == key && fresh(expires, now));
                        let expected = at.map(|at| {
                            let used = model.remove(at);
                            model.push(used);
                            used.1
                        });
                        prop_assert_eq!(lru.get(hash(key), &key, now).copied(), expected);
                    }
                    Operation::Insert(key, ttl) => {
                        let expires = ttl.map(|ttl| now + Duration::from_millis(ttl));
                        let known = model.iter().position(|&(k, ..)| k == key);
                        let gone = known.or_else(|| (model.len() == max).then_some(0)).map(|at| model.remove(at));
                        model.push((key, value, expires));
                        let inserted = lru.insert(hash(key), key, value, now, expires);
                        prop_assert_eq!(inserted.displaced, gone.map(|(k, v, _)| (k, v)));
                        let evicted = known.is_none() && gone.is_some_and(|(.., at)| fresh(at, now));
                        prop_assert_eq!(inserted.evicted, evicted);
                    }
                    Operation::Remove(key) => {
                        let at = model.iter().position(|&(k, ..)| k == key);
                        let gone = at.map(|at| model.remove(at)).map(|(k, v, _)| (k, v));
                        let before = lru.removals();
                        prop_assert_eq!(lru.remove(hash(key), &key), gone);
                        prop_assert!(lru.removals() > before);
                    }
                    Operation::Clear => {
                        let before = lru.removals();
                        prop_assert_eq!(lru.clear().len(), model.len());
                        prop_assert!(lru.removals() > before);
                        model.clear();
                    }
                    Operation::Wait(ms) => now += Duration::from_millis(ms),
                }
                prop_assert_eq!(lru.len(), model.len());
                prop_assert_eq!(lru.index.len(), model.len());
                prop_assert!(lru.len() <= max);
            }
        }
    }
}
