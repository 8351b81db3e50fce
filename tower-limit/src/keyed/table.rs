//! A hash table with a bound on its keys. Pure: no locks, no clock.

/// Keys with their values. The entries are in one vector and are never moved or removed, only replaced, so an index stays valid
/// while its key is not forgotten.
#[derive(Debug)]
pub(super) struct Table<K, V> {
    entries: Vec<Entry<K, V>>,
    /// The first entry of each chain of entries with the same last bits of the hash. A power of two, or empty.
    heads: Vec<u32>,
    max_keys: usize,
    /// Where the next [`victim`](Self::victim) is looked for.
    hand: usize,
}

#[derive(Debug)]
struct Entry<K, V> {
    key: K,
    value: V,
    hash: u32,
    /// The next entry of its chain.
    next: u32,
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
            max_keys,
            hand: 0,
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

    /// Adds a key that is not in the table, which must not be full.
    pub(super) fn insert(&mut self, hash: u32, key: K, value: V) -> u32 {
        let len = self.entries.len();
        if len == self.entries.capacity() {
            // Doubled, but not beyond the bound.
            let more = len.max(MIN_KEYS).min(self.max_keys - len);
            self.entries.reserve_exact(more);
        }
        let index = len as u32;
        let next = NONE;
        self.entries.push(Entry {
            key,
            value,
            hash,
            next,
        });
        if self.heads.len() < self.entries.len() {
            self.grow_heads();
        } else {
            self.chain_up(index);
        }
        index
    }

    /// Returns which of the next [`LOOKED_AT`] entries to forget: the one with the lowest `cost`, and that cost. A cost of zero ends
    /// the search. Each search begins after the entry that the last one has found. `None` if the table is empty.
    pub(super) fn victim(&mut self, cost: impl Fn(&V) -> u64) -> Option<(u32, u64)> {
        let len = self.entries.len();
        let hand = self.hand;
        let next = (0..len.min(LOOKED_AT)).map(|step| (hand + step) % len);
        let mut found: Option<(usize, u64)> = None;
        for index in next {
            let cost = cost(&self.entries[index].value);
            if found.is_none_or(|(_, least)| cost < least) {
                found = Some((index, cost));
            }
            if cost == 0 {
                break;
            }
        }
        let (index, cost) = found?;
        self.hand = (index + 1) % len;
        Some((index as u32, cost))
    }

    /// Replaces an entry by that of another key, which must not be in the table. Returns the forgotten key and value.
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

/// The number of keys for which memory is reserved at first.
const MIN_KEYS: usize = 8;

/// How many entries a search for a victim looks at: they are next to each other in memory, and so take less than 100 ns.
const LOOKED_AT: usize = 64;

#[cfg(all(test, not(tower_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Operation {
        /// Sets the value of the key. If it is new and the table is full, it replaces a victim.
        Set(u32, u64),
        Find(u32),
    }

    /// More keys than fit.
    fn operation() -> impl Strategy<Value = Operation> {
        let key = 0..60_u32;
        prop_oneof![
            2 => (key.clone(), 0..4_u64).prop_map(|(key, value)| Operation::Set(key, value)),
            1 => key.prop_map(Operation::Find),
        ]
    }

    /// Keys with the same hash are common.
    const fn hash(key: u32) -> u32 {
        key.wrapping_mul(0x9e37_79b1) >> 28
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 256 }))]

        #[test]
        fn behaves_like_a_list_of_keys(
            max_keys in 1..40_usize,
            operations in prop::collection::vec(operation(), 1..300),
        ) {
            let mut table = Table::new(max_keys);
            let mut known: Vec<(u32, u64)> = Vec::new();
            for operation in operations {
                let (Operation::Set(key, _) | Operation::Find(key)) = operation;
                let found = table.find(hash(key), &key);
                let position = known.iter().position(|&(known, _)| known == key);
                prop_assert_eq!(found.is_some(), position.is_some());
                if let (Some(found), Some(position)) = (found, position) {
                    prop_assert_eq!(*table.value_mut(found), known[position].1);
                }
                let Operation::Set(key, value) = operation else {
                    continue;
                };
                match (found, position) {
                    (Some(found), Some(position)) => {
                        *table.value_mut(found) = value;
                        known[position].1 = value;
                    }
                    _ if !table.is_full() => {
                        table.insert(hash(key), key, value);
                        known.push((key, value));
                    }
                    _ => {
                        let (victim, cost) = table.victim(|&value| value).unwrap();
                        let forgotten = table.replace(victim, hash(key), key, value);
                        // Fewer than are looked at, so it is the cheapest of all.
                        let cheapest = known.iter().map(|&(_, value)| value).min().unwrap();
                        prop_assert!(cost == cheapest && forgotten.1 == cost);
                        let position = known.iter().position(|&known| known == forgotten);
                        known[position.unwrap()] = (key, value);
                    }
                }
                prop_assert!(table.len() == known.len() && table.len() <= max_keys);
                prop_assert!(table.entries.capacity() <= max_keys.max(MIN_KEYS));
            }
        }
    }

    #[test]
    fn a_search_goes_on_after_the_last_victim_and_is_bounded() {
        let mut table = Table::new(3 * LOOKED_AT);
        for key in 0..3 * LOOKED_AT as u32 {
            table.insert(key, key, 1);
        }
        *table.value_mut(LOOKED_AT as u32 + 1) = 0;
        assert_eq!(table.victim(|&cost| cost), Some((0, 1)), "too far away");
        let near = LOOKED_AT as u32 + 1;
        assert_eq!(table.victim(|&cost| cost), Some((1, 1)));
        assert_eq!(table.victim(|&cost| cost), Some((near, 0)));
        assert_eq!(table.victim(|&cost| cost), Some((near + 1, 1)));
        assert_eq!(Table::<u32, u64>::new(1).victim(|&cost| cost), None);
    }
}
