//! A hash table with a bound on its keys, and a list of those that may be forgotten. Pure: no locks, no clock.

/// Keys with their values. The entries are in one vector and are never moved or removed, only replaced, so an index stays valid
/// while its key must not be forgotten: while it is not in the list.
#[derive(Debug)]
pub(super) struct Table<K, V> {
    entries: Vec<Entry<K, V>>,
    /// The first entry of each chain of entries with the same last bits of the hash. A power of two, or empty.
    heads: Vec<u32>,
    /// The ends of the list.
    newest: u32,
    oldest: u32,
    max_keys: usize,
}

#[derive(Debug)]
struct Entry<K, V> {
    key: K,
    value: V,
    hash: u32,
    /// The next entry of its chain.
    next: u32,
    /// Its neighbours in the list.
    newer: u32,
    older: u32,
}

/// Instead of an index.
const NONE: u32 = u32::MAX;

impl<K: Eq, V> Table<K, V> {
    #[inline]
    pub(super) fn find(&self, hash: u32, key: &K) -> Option<u32> {
        let mut index = *self.heads.get(self.chain(hash))?;
        while let Some(entry) = self.entries.get(index as usize) {
            if entry.hash == hash && entry.key == *key {
                return Some(index);
            }
            index = entry.next;
        }
        None
    }
}

impl<K, V> Table<K, V> {
    /// Creates a table of at most `max_keys`, which must be less than 2³².
    pub(super) const fn new(max_keys: usize) -> Self {
        Self {
            entries: Vec::new(),
            heads: Vec::new(),
            newest: NONE,
            oldest: NONE,
            max_keys,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) const fn is_full(&self) -> bool {
        self.entries.len() >= self.max_keys
    }

    pub(super) fn value_mut(&mut self, index: u32) -> &mut V {
        &mut self.entries[index as usize].value
    }

    /// Adds a key that is not in the table, which must not be full. It is not in the list.
    pub(super) fn insert(&mut self, hash: u32, key: K, value: V) -> u32 {
        let len = self.entries.len();
        if len == self.entries.capacity() {
            // Doubled, but not beyond the bound.
            let more = len.max(MIN_KEYS).min(self.max_keys - len);
            self.entries.reserve_exact(more);
        }
        let index = len as u32;
        self.entries.push(Entry {
            key,
            value,
            hash,
            next: NONE,
            newer: NONE,
            older: NONE,
        });
        if self.heads.len() < self.entries.len() {
            self.grow_heads();
        } else {
            self.chain_up(index);
        }
        index
    }

    /// Replaces an entry, which must not be in the list, by that of another key, which must not be in the table. Returns the
    /// forgotten key and value.
    pub(super) fn replace(&mut self, index: u32, hash: u32, key: K, value: V) -> (K, V) {
        self.unchain(index);
        let entry = &mut self.entries[index as usize];
        entry.hash = hash;
        let forgotten = (
            std::mem::replace(&mut entry.key, key),
            std::mem::replace(&mut entry.value, value),
        );
        self.chain_up(index);
        forgotten
    }

    /// Adds an entry to the list as the newest.
    #[inline]
    pub(super) fn list(&mut self, index: u32) {
        let older = std::mem::replace(&mut self.newest, index);
        let entry = &mut self.entries[index as usize];
        (entry.newer, entry.older) = (NONE, older);
        match self.entries.get_mut(older as usize) {
            Some(older) => older.newer = index,
            None => self.oldest = index,
        }
    }

    /// Removes an entry from the list.
    #[inline]
    pub(super) fn unlist(&mut self, index: u32) {
        let entry = &mut self.entries[index as usize];
        let (newer, older) = (entry.newer, entry.older);
        match self.entries.get_mut(newer as usize) {
            Some(newer) => newer.older = older,
            None => self.newest = older,
        }
        match self.entries.get_mut(older as usize) {
            Some(older) => older.newer = newer,
            None => self.oldest = newer,
        }
    }

    /// Returns the entries of the list, the oldest first.
    pub(super) fn oldest(&self) -> impl Iterator<Item = u32> {
        let entry = |index: u32| self.entries.get(index as usize);
        let first = entry(self.oldest).map(|_| self.oldest);
        std::iter::successors(first, move |&index| {
            let newer = entry(index)?.newer;
            entry(newer).map(|_| newer)
        })
    }

    fn chain(&self, hash: u32) -> usize {
        hash as usize & self.heads.len().wrapping_sub(1)
    }

    fn chain_up(&mut self, index: u32) {
        let chain = self.chain(self.entries[index as usize].hash);
        self.entries[index as usize].next = std::mem::replace(&mut self.heads[chain], index);
    }

    fn unchain(&mut self, index: u32) {
        let Entry { hash, next, .. } = self.entries[index as usize];
        let chain = self.chain(hash);
        if self.heads[chain] == index {
            self.heads[chain] = next;
            return;
        }
        let mut before = self.heads[chain];
        while self.entries[before as usize].next != index {
            before = self.entries[before as usize].next;
        }
        self.entries[before as usize].next = next;
    }

    #[cold]
    fn grow_heads(&mut self) {
        let chains = self.entries.capacity().next_power_of_two();
        self.heads.clear();
        self.heads.reserve_exact(chains);
        self.heads.resize(chains, NONE);
        for index in 0..self.entries.len() as u32 {
            self.chain_up(index);
        }
    }
}

/// For keys that stay in the list while they are used.
#[cfg(any(feature = "rate", test))]
impl<K, V> Table<K, V> {
    pub(super) fn value(&self, index: u32) -> &V {
        &self.entries[index as usize].value
    }

    /// Returns whether the entry, which must be in the list, is the newest of it.
    pub(super) const fn is_newest(&self, index: u32) -> bool {
        self.newest == index
    }
}

/// The number of keys for which memory is reserved at first.
const MIN_KEYS: usize = 8;

#[cfg(all(test, not(tower_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Operation {
        /// Finds the key, or adds it, in place of the oldest if the table is full.
        Use(u32),
        List(u32),
        Unlist(u32),
    }

    /// More keys than fit.
    fn operation() -> impl Strategy<Value = Operation> {
        let key = 0..60_u32;
        prop_oneof![
            4 => key.clone().prop_map(Operation::Use),
            2 => key.clone().prop_map(Operation::List),
            1 => key.prop_map(Operation::Unlist),
        ]
    }

    /// Keys with the same hash are common.
    const fn hash(key: u32) -> u32 {
        key.wrapping_mul(0x9e37_79b1) >> 28
    }

    proptest! {
        #[test]
        fn behaves_like_a_list_of_keys(
            max_keys in 1..40_usize,
            operations in prop::collection::vec(operation(), 1..300),
        ) {
            let mut table = Table::new(max_keys);
            // Keys and values; the listed ones, the oldest first.
            let (mut known, mut listed): (Vec<(u32, u32)>, Vec<u32>) = (Vec::new(), Vec::new());
            for (value, operation) in (0_u32..).zip(operations) {
                match operation {
                    Operation::Use(key) => {
                        let position = known.iter().position(|&(known, _)| known == key);
                        let found = table.find(hash(key), &key);
                        prop_assert_eq!(found.is_some(), position.is_some());
                        if let (Some(found), Some(position)) = (found, position) {
                            prop_assert_eq!(*table.value(found), known[position].1);
                            *table.value_mut(found) = value;
                            known[position].1 = value;
                        } else if !table.is_full() {
                            table.insert(hash(key), key, value);
                            known.push((key, value));
                        } else if !listed.is_empty() {
                            let oldest = table.oldest().next().unwrap();
                            table.unlist(oldest);
                            let (forgotten, _) = table.replace(oldest, hash(key), key, value);
                            prop_assert_eq!(forgotten, listed.remove(0));
                            known.retain(|&(known, _)| known != forgotten);
                            known.push((key, value));
                        }
                    }
                    Operation::List(key) => {
                        if let Some(index) = table.find(hash(key), &key)
                            && !listed.contains(&key)
                        {
                            table.list(index);
                            listed.push(key);
                            prop_assert!(table.is_newest(index));
                        }
                    }
                    Operation::Unlist(key) => {
                        if let Some(position) = listed.iter().position(|&listed| listed == key) {
                            table.unlist(table.find(hash(key), &key).unwrap());
                            listed.remove(position);
                        }
                    }
                }
                prop_assert!(table.len() == known.len() && table.len() <= max_keys);
                prop_assert!(table.entries.capacity() <= max_keys.max(MIN_KEYS));
                let keys = table.oldest().map(|index| table.entries[index as usize].key);
                prop_assert_eq!(keys.collect::<Vec<_>>(), listed.clone());
            }
        }
    }
}
