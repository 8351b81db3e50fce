use super::InvalidPolicy;
use super::hash::xxh64;

/// The lookup table of Maglev, as in Envoy: each slot of a large table belongs to an endpoint, and a hash selects a
/// slot.
///
/// The table is more even than a ring (within 2 % for up to 600 endpoints), and lookup takes constant time. When one of
/// N endpoints is added or removed, about 1/N of the keys have to move, and a few more move too; with a
/// [`StableRing`](super::StableRing), only those that have to move do.
///
/// An endpoint of weight 0 has no slots. Endpoints fill the table in the order of their keys, so the order in which
/// they are given does not matter; among endpoints with the same key, the one given first comes first.
///
/// # Example
///
/// ```
/// use tower_balance::policy::Maglev;
/// use tower_balance::policy::hash::xxh64;
///
/// let table = Maglev::new(&[("10.0.0.1:80", 1), ("10.0.0.2:80", 1), ("10.0.0.3:80", 2)]);
/// let hash = xxh64(b"user 7", 0);
/// let order: Vec<usize> = table.walk(hash).collect();
/// assert_eq!(Some(order[0]), table.pick(hash));
/// assert_eq!(order.len(), 3);
/// ```
///
/// # Implementation notes
///
/// D. Eisenbud and others, *Maglev: A Fast and Reliable Software Network Load Balancer*, NSDI 2016. Envoy normalizes
/// weights with rounding; here they are integers, which differs in a few slots for some unequal weights.
#[derive(Debug, Clone)]
pub struct Maglev {
    /// The endpoint of each slot. Empty if all weights are 0.
    table: Vec<u32>,
    /// The endpoints whose weight is not 0.
    weighted: Vec<u32>,
}

impl Maglev {
    /// Builds a table of 65,537 slots.
    ///
    /// # Panics
    ///
    /// If there are more than 2³² endpoints.
    pub fn new<K: AsRef<str>>(endpoints: &[(K, u32)]) -> Self {
        Self::with_size(endpoints, 65_537).expect("a prime")
    }

    /// Builds a table of `size` slots, which should be at least a hundred for each endpoint, so that all receive their
    /// share.
    ///
    /// # Errors
    ///
    /// If `size` is not prime, or greater than 5,000,011 as in Envoy, or if there are more than 2³² endpoints.
    pub fn with_size<K: AsRef<str>>(
        endpoints: &[(K, u32)],
        size: u32,
    ) -> Result<Self, InvalidPolicy> {
        InvalidPolicy::ensure(size <= MAX_SIZE, "a maglev table has at most 5000011 slots")?;
        InvalidPolicy::ensure(
            is_prime(size),
            "the size of a maglev table must be a prime number",
        )?;
        InvalidPolicy::ensure(
            u32::try_from(endpoints.len()).is_ok(),
            "there are too many endpoints",
        )?;
        let mut fillers: Vec<_> = endpoints
            .iter()
            .enumerate()
            .filter(|(_, (_, weight))| *weight > 0)
            .map(|(endpoint, (key, weight))| {
                Filler::new(endpoint as u32, key.as_ref(), *weight, size)
            })
            .collect();
        let key = |filler: &Filler| endpoints[filler.endpoint as usize].0.as_ref();
        fillers.sort_by(|a, b| key(a).cmp(key(b)));
        Ok(Self {
            table: fill(&mut fillers, size),
            weighted: fillers.iter().map(|filler| filler.endpoint).collect(),
        })
    }

    /// Returns the endpoint of a hash, or `None` if there are none.
    #[inline]
    pub fn pick(&self, hash: u64) -> Option<usize> {
        let slot = hash.checked_rem(self.table.len() as u64)?;
        Some(self.table[slot as usize] as usize)
    }

    /// Iterates over the endpoints, each once, in the order in which a hash prefers them, to skip those that are not
    /// ready.
    ///
    /// For each further endpoint the hash is modified, as Envoy does for each retry. Endpoints that 64 modifications do
    /// not reach follow in the order of their keys, from a start that depends on the hash.
    pub fn walk(&self, hash: u64) -> impl Iterator<Item = usize> + '_ {
        let changed = (1..=REHASHES).map(move |attempt| hash ^ attempt.wrapping_neg());
        let hashed = std::iter::once(hash)
            .chain(changed)
            .filter_map(|hash| self.pick(hash));
        let count = self.weighted.len();
        let start = hash.checked_rem(count as u64).unwrap_or(0) as usize;
        let rest = (0..count).map(move |i| self.weighted[(start + i) % count] as usize);
        let mut seen = std::collections::HashSet::new();
        // The last endpoint is remembered only at the next call, so that the first one does not allocate.
        let mut last = None;
        hashed.chain(rest).filter(move |endpoint| {
            if last == Some(*endpoint) || seen.contains(endpoint) {
                return false;
            }
            seen.extend(last.replace(*endpoint));
            true
        })
    }
}

/// The state of an endpoint while the table is filled.
struct Filler {
    endpoint: u32,
    weight: u64,
    /// The slot that it tries next, and the step to the following one.
    slot: u64,
    skip: u64,
    /// It takes a slot when its accumulated weight reaches this.
    target: u64,
}

impl Filler {
    fn new(endpoint: u32, key: &str, weight: u32, size: u32) -> Self {
        let size = u64::from(size);
        Self {
            endpoint,
            weight: u64::from(weight),
            slot: xxh64(key.as_bytes(), 0) % size,
            // A table of two slots has only one possible step.
            skip: xxh64(key.as_bytes(), 1) % (size - 1) + 1,
            target: 0,
        }
    }
}

fn fill(fillers: &mut [Filler], size: u32) -> Vec<u32> {
    let Some(heaviest) = fillers.iter().map(|filler| filler.weight).max() else {
        return Vec::new();
    };
    let mut table = vec![FREE; size as usize];
    let mut left = size;
    // The heaviest endpoint takes a slot in every round, so that neither rounds nor weights overflow.
    for round in 1.. {
        for filler in &mut *fillers {
            if round * filler.weight < filler.target {
                continue;
            }
            filler.target += heaviest;
            // The size is prime, so the walk visits every slot.
            while table[filler.slot as usize] != FREE {
                filler.slot = (filler.slot + filler.skip) % u64::from(size);
            }
            table[filler.slot as usize] = filler.endpoint;
            left -= 1;
            if left == 0 {
                return table;
            }
        }
    }
    table
}

fn is_prime(n: u32) -> bool {
    n >= 2
        && (2..)
            .take_while(|d| d * d <= n)
            .all(|d| !n.is_multiple_of(d))
}

const MAX_SIZE: u32 = 5_000_011;
const REHASHES: u64 = 64;
/// Not an endpoint number: only the last of 2³² endpoints would have it, and there are fewer.
const FREE: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn endpoints(keys: impl IntoIterator<Item = impl ToString>) -> Vec<(String, u32)> {
        keys.into_iter().map(|key| (key.to_string(), 1)).collect()
    }

    fn hashes() -> impl Iterator<Item = u64> {
        (0..20_000_u32).map(|n| xxh64(&n.to_le_bytes(), 7))
    }

    /// The test cases of Envoy's `maglev_lb_test.cc`.
    #[test]
    fn the_table_is_as_in_envoy() {
        let addresses = endpoints((90..96).map(|port| format!("127.0.0.1:{port}")));
        let table = Maglev::with_size(&addresses, 7).unwrap();
        assert_eq!(table.table, [2, 4, 0, 1, 5, 0, 3]);
        let table = Maglev::with_size(&endpoints(90..96), 7).unwrap();
        assert_eq!(table.table, [2, 5, 0, 3, 4, 1, 0]);
        let table = Maglev::new(&[("127.0.0.1:90", 1), ("127.0.0.1:91", 2)]);
        let count = |endpoint| table.table.iter().filter(|e| **e == endpoint).count();
        assert_eq!((count(0), count(1)), (21_846, 43_691));
    }

    #[test]
    fn the_order_of_the_endpoints_does_not_matter() {
        let mut endpoints = endpoints(90..96);
        endpoints.reverse();
        let table = Maglev::with_size(&endpoints, 7).unwrap();
        assert_eq!(table.table, [3, 0, 5, 2, 1, 4, 5]);
    }

    #[test]
    fn only_primes_up_to_the_maximum_are_valid_sizes() {
        let size = |size| Maglev::with_size(&endpoints(0..3), size).map(|table| table.table.len());
        for composite in [0, 1, 4, 9, 65_536, 65_539 * 3, 5_000_023, u32::MAX] {
            assert!(size(composite).is_err(), "{composite}");
        }
        for prime in [2, 3, 251, 65_537] {
            assert_eq!(size(prime), Ok(prime as usize));
        }
    }

    #[test]
    fn endpoints_of_weight_zero_are_not_picked() {
        for table in [Maglev::new::<&str>(&[]), Maglev::new(&[("a", 0), ("b", 0)])] {
            assert_eq!(table.pick(7), None);
            assert_eq!(table.walk(7).next(), None);
        }
        let table = Maglev::new(&[("a", 0), ("b", u32::MAX)]);
        assert_eq!(table.walk(7).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn retries_go_to_the_same_endpoints_as_in_envoy() {
        let table = Maglev::with_size(&endpoints(90..96), 7).unwrap();
        // 0 selects slot 0, and 0 ^ -1 = 2⁶⁴ - 1 selects slot 1, as 2⁶⁴ is 2 modulo 7.
        assert_eq!(table.walk(0).take(2).collect::<Vec<_>>(), [2, 5]);
    }

    #[test]
    fn few_keys_move_when_an_endpoint_is_removed() {
        let all = endpoints((0..10).map(|i| format!("10.0.0.{i}:80")));
        let mut rest = all.clone();
        rest[4].1 = 0;
        let (before, after) = (Maglev::new(&all), Maglev::new(&rest));
        let moves: Vec<_> = hashes()
            .map(|hash| (before.pick(hash), after.pick(hash)))
            .filter(|(from, to)| from != to)
            .collect();
        assert!(moves.len() <= 4000, "{} of 20000", moves.len());
        let needless = moves.iter().filter(|(from, _)| *from != Some(4)).count();
        assert!(needless < 400, "{needless} of 20000");
    }

    proptest! {
        #[test]
        fn a_walk_yields_each_endpoint_with_a_weight_once(
            weights in prop::collection::vec(prop_oneof![Just(0), 0..9_u32, any::<u32>()], 0..200),
            hash: u64,
        ) {
            let endpoints: Vec<_> =
                weights.iter().enumerate().map(|(i, weight)| (i.to_string(), *weight)).collect();
            let table = Maglev::with_size(&endpoints, 251).unwrap();
            let mut walk: Vec<_> = table.walk(hash).collect();
            prop_assert_eq!(walk.first().copied(), table.pick(hash));
            walk.sort_unstable();
            let weighted: Vec<_> = (0..weights.len()).filter(|i| weights[*i] > 0).collect();
            prop_assert_eq!(walk, weighted);
        }

        #[test]
        fn slots_are_in_proportion_to_weights(weights in prop::collection::vec(1_u32..100, 1..20)) {
            let endpoints: Vec<_> =
                weights.iter().enumerate().map(|(i, weight)| (i.to_string(), *weight)).collect();
            let table = Maglev::new(&endpoints);
            let sum: u32 = weights.iter().sum();
            for (i, weight) in weights.iter().enumerate() {
                let slots = table.table.iter().filter(|e| **e == i as u32).count() as f64;
                let due = 65_537.0 * f64::from(*weight) / f64::from(sum);
                prop_assert!((slots - due).abs() <= 0.02 * due, "{slots} instead of {due}");
            }
        }
    }
}
