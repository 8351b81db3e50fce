//! A bounded map that forgets the entry that was used least recently.

use std::hash::{BuildHasherDefault, Hash, Hasher};

use indexmap::{Equivalent, IndexMap};

/// A map from keys, with their hashes, to values. Entries keep their index until another key takes it.
#[derive(Debug)]
pub(super) struct Lru<K, V> {
    entries: IndexMap<Hashed<K>, Entry<V>, BuildHasherDefault<Given>>,
    capacity: usize,
    /// The entries that were used last and first; without meaning while there are none.
    newest: usize,
    oldest: usize,
    /// The number of keys so far.
    inserted: u64,
}

/// Where the value of a key is, as long as it is that of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    index: usize,
    generation: u64,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    /// The entries that were used next after and next before this one; at the ends without meaning.
    newer: usize,
    older: usize,
    generation: u64,
}

/// A key with its hash, which is computed once for the choice of the shard.
#[derive(Debug, PartialEq, Eq)]
struct Hashed<K> {
    hash: u64,
    key: K,
}

/// A key of another owner, with its hash.
struct Query<'a, K> {
    hash: u64,
    key: &'a K,
}

/// Returns the hash that it is given.
#[derive(Debug, Default)]
struct Given(u64);

impl<K: Eq, V> Lru<K, V> {
    /// The bytes of an entry: of the key, the value and the hash, and at most three places in the table of indices, each
    /// with a byte of control.
    pub(super) const BYTES_PER_ENTRY: usize =
        size_of::<(Hashed<K>, Entry<V>, u64)>() + 3 * (size_of::<usize>() + 1);

    /// Creates an empty map. The capacity is at least 1.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            entries: IndexMap::default(),
            capacity,
            newest: 0,
            oldest: 0,
            inserted: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns the value of a key, without using it.
    pub(super) fn peek(&mut self, hash: u64, key: &K) -> Option<&mut V> {
        let entry = self.entries.get_mut(&Query { hash, key })?;
        Some(&mut entry.value)
    }

    /// Uses a key, which is inserted if it is not known. The key that is forgotten for it is put into `forgotten`, so that
    /// it can be dropped without a lock.
    pub(super) fn get(
        &mut self,
        hash: u64,
        key: &K,
        forgotten: &mut Option<K>,
        new: impl FnOnce() -> V,
    ) -> (Slot, &mut V)
    where
        K: Clone,
    {
        let index = match self.entries.get_index_of(&Query { hash, key }) {
            Some(index) => {
                self.touch(index);
                index
            }
            None => {
                let key = key.clone();
                let hashed = Hashed { hash, key };
                match self.entries.len() < self.capacity {
                    true => self.insert(hashed, new()),
                    false => {
                        let (index, replaced) = self.replace_oldest(hashed, new());
                        *forgotten = Some(replaced.key);
                        index
                    }
                }
            }
        };
        let entry = &mut self.entries[index];
        let slot = Slot {
            index,
            generation: entry.generation,
        };
        (slot, &mut entry.value)
    }

    /// Returns the key and the value of a slot, unless the key was forgotten.
    pub(super) fn at(&mut self, slot: Slot) -> Option<(&K, &mut V)> {
        let (hashed, entry) = self.entries.get_index_mut(slot.index)?;
        (entry.generation == slot.generation).then_some((&hashed.key, &mut entry.value))
    }

    fn insert(&mut self, hashed: Hashed<K>, value: V) -> usize {
        let length = self.entries.len();
        if length == self.entries.capacity() {
            // Doubled, but never more than needed at most.
            let additional = length.max(4).min(self.capacity - length);
            self.entries.reserve_exact(additional);
        }
        self.inserted += 1;
        let entry = Entry {
            value,
            newer: 0,
            older: self.newest,
            generation: self.inserted,
        };
        self.entries.insert(hashed, entry);
        match length {
            0 => self.oldest = 0,
            _ => self.entries[self.newest].newer = length,
        }
        self.newest = length;
        length
    }

    fn replace_oldest(&mut self, hashed: Hashed<K>, value: V) -> (usize, Hashed<K>) {
        let index = self.oldest;
        self.touch(index);
        self.inserted += 1;
        // It differs from all keys, so it takes the place of the old one.
        let (Ok(replaced) | Err((_, replaced))) = self.entries.replace_index(index, hashed);
        let entry = &mut self.entries[index];
        (entry.value, entry.generation) = (value, self.inserted);
        (index, replaced)
    }

    /// Makes an entry the newest.
    fn touch(&mut self, index: usize) {
        if index == self.newest {
            return;
        }
        let Entry { newer, older, .. } = self.entries[index];
        // Not the newest, so there is a newer one.
        if index == self.oldest {
            self.oldest = newer;
        } else {
            self.entries[older].newer = newer;
            self.entries[newer].older = older;
        }
        self.entries[self.newest].newer = index;
        self.entries[index].older = self.newest;
        self.newest = index;
    }
}

impl<K> Hash for Hashed<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl<K> Hash for Query<'_, K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl<K: Eq> Equivalent<Hashed<K>> for Query<'_, K> {
    fn equivalent(&self, other: &Hashed<K>) -> bool {
        self.hash == other.hash && *self.key == other.key
    }
}

impl Hasher for Given {
    fn write(&mut self, _bytes: &[u8]) {
        unreachable!("a hash is written as a `u64`");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(all(test, not(tower_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Of three hashes, so that some keys collide.
    fn get(lru: &mut Lru<u8, u32>, key: u8, value: u32) -> (Slot, u32, Option<u8>) {
        let mut forgotten = None;
        let (slot, found) = lru.get(u64::from(key % 3), &key, &mut forgotten, || value);
        (slot, *found, forgotten)
    }

    proptest! {
        /// The oracle is a list, the newest last.
        #[test]
        fn it_forgets_the_least_recently_used(
            capacity in 1_usize..6,
            keys in prop::collection::vec(0_u8..10, 0..200),
        ) {
            let mut lru = Lru::new(capacity);
            let mut oracle: Vec<(u8, u32, Slot)> = Vec::new();
            for (value, key) in (0_u32..).zip(keys) {
                let known = oracle.iter().position(|(it, ..)| *it == key);
                let (slot, found, forgotten) = get(&mut lru, key, value);
                let expected = match known {
                    Some(index) => oracle.remove(index),
                    None => (key, value, slot),
                };
                prop_assert_eq!((key, found, slot), expected);
                oracle.push(expected);
                let expected = (oracle.len() > capacity).then(|| oracle.remove(0));
                prop_assert_eq!(forgotten, expected.map(|(key, ..)| key));
                if let Some((key, _, slot)) = expected {
                    prop_assert!(lru.at(slot).is_none());
                    prop_assert!(lru.peek(u64::from(key % 3), &key).is_none());
                }
                prop_assert_eq!(lru.len(), oracle.len());
                for (key, mut value, slot) in oracle.iter().copied() {
                    prop_assert_eq!(lru.at(slot), Some((&key, &mut value)));
                }
            }
        }
    }

    #[test]
    fn it_never_allocates_for_more_than_its_capacity() {
        let mut lru = Lru::<u32, u64>::new(1000);
        for key in 0..100_000 {
            lru.get(u64::from(key), &key, &mut None, || 0);
            assert!(lru.entries.capacity() <= 1000);
        }
        assert_eq!(lru.len(), 1000);
    }
}
