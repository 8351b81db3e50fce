use std::collections::{BTreeSet, HashMap, HashSet};

use super::InvalidPolicy;
use super::ring::{MAX_POINTS, hashes};

/// A hash ring on which a change of the endpoints moves only the keys that have to move, because an endpoint has a
/// fixed number of points per unit of weight, regardless of the others.
///
/// If one of N equal endpoints is added or removed, only 1/N of the keys move, to or from that endpoint, and only its
/// own points are inserted or removed. In exchange, it is not compatible with the ring of Envoy and gRPC
/// ([`Ring`](super::Ring)), and memory grows with the weights, so keep these small: 1 to 100, not 1,000,000.
///
/// An endpoint of weight 0 has no points. Of endpoints with the same key, the one with the lowest number receives the
/// requests.
///
/// # Example
///
/// ```
/// use tower_balance::policy::StableRing;
/// use tower_balance::policy::hash::xxh64;
///
/// let mut ring = StableRing::default();
/// for (endpoint, key) in ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"].into_iter().enumerate() {
///     ring.insert(endpoint, key, 1).unwrap();
/// }
/// let order: Vec<usize> = ring.walk(xxh64(b"user 7", 0)).collect();
/// // When the first choice is removed, the second one takes over.
/// ring.remove(order[0]);
/// assert_eq!(ring.walk(xxh64(b"user 7", 0)).next(), Some(order[1]));
/// ```
#[derive(Debug, Clone)]
pub struct StableRing {
    per_weight: usize,
    /// Each point on the ring: its hash, and the endpoint that it belongs to.
    points: BTreeSet<(u64, usize)>,
    /// The key of each endpoint, and its number of points.
    endpoints: HashMap<usize, (String, usize)>,
}

impl StableRing {
    /// Creates an empty ring with this number of points per unit of weight. By default (`StableRing::default()`) 160,
    /// as in ketama: the busiest of ten endpoints then gets about 10 % more than its share, the busiest of a hundred
    /// 25 %.
    ///
    /// # Errors
    ///
    /// If `points_per_weight` is not from 1 to 8,388,608.
    pub fn new(points_per_weight: usize) -> Result<Self, InvalidPolicy> {
        InvalidPolicy::ensure(
            points_per_weight >= 1,
            "an endpoint needs at least one point",
        )?;
        InvalidPolicy::ensure(points_per_weight <= MAX_POINTS, TOO_MANY)?;
        Ok(Self {
            per_weight: points_per_weight,
            points: BTreeSet::new(),
            endpoints: HashMap::new(),
        })
    }

    /// Adds the endpoint with this number, or changes its key or weight.
    ///
    /// # Errors
    ///
    /// If the ring would have more than 8,388,608 points. It remains unchanged.
    pub fn insert(&mut self, endpoint: usize, key: &str, weight: u32) -> Result<(), InvalidPolicy> {
        let old = self.endpoints.get(&endpoint).map_or(0, |(_, count)| *count);
        let count = (weight as usize).saturating_mul(self.per_weight);
        InvalidPolicy::ensure(count <= MAX_POINTS - (self.len() - old), TOO_MANY)?;
        self.remove(endpoint);
        if count > 0 {
            self.points
                .extend(hashes(key, count).map(|hash| (hash, endpoint)));
            self.endpoints.insert(endpoint, (key.to_owned(), count));
        }
        Ok(())
    }

    /// Removes an endpoint. Returns `false` if it had no points.
    pub fn remove(&mut self, endpoint: usize) -> bool {
        let Some((key, count)) = self.endpoints.remove(&endpoint) else {
            return false;
        };
        for hash in hashes(&key, count) {
            self.points.remove(&(hash, endpoint));
        }
        true
    }

    /// Iterates over the endpoints, each once, in the order in which they follow the hash. The first step does not
    /// allocate.
    pub fn walk(&self, hash: u64) -> impl Iterator<Item = usize> + '_ {
        let (after, before) = (
            self.points.range((hash, 0)..),
            self.points.range(..(hash, 0)),
        );
        let mut points = after.chain(before).map(|(_, endpoint)| *endpoint);
        let first = points.next();
        let mut seen = HashSet::new();
        let others =
            points.filter(move |endpoint| Some(*endpoint) != first && seen.insert(*endpoint));
        // When all endpoints were yielded, the remaining points can be ignored.
        first.into_iter().chain(others).take(self.endpoints.len())
    }

    /// Returns the number of points.
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// Returns whether there are no points, so that walks are empty.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }
}

impl Default for StableRing {
    fn default() -> Self {
        Self::new(160).expect("the default is valid")
    }
}

const TOO_MANY: &str = "a ring has at most 8388608 points";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Ring;
    use super::super::hash::xxh64;
    use super::*;

    fn key(endpoint: usize) -> String {
        format!("10.0.0.{endpoint}:80")
    }

    fn ring(endpoints: impl IntoIterator<Item = usize>) -> StableRing {
        let mut ring = StableRing::default();
        for endpoint in endpoints {
            ring.insert(endpoint, &key(endpoint), 1).unwrap();
        }
        ring
    }

    fn hashes() -> impl Iterator<Item = u64> {
        (0..20_000_u32).map(|n| xxh64(&n.to_le_bytes(), 7))
    }

    /// Returns the number of keys that move when endpoint 4 is removed, and how many of these move between other
    /// endpoints.
    fn moved(before: impl Fn(u64) -> usize, after: impl Fn(u64) -> usize) -> (usize, usize) {
        let moves = || {
            hashes()
                .map(|h| (before(h), after(h)))
                .filter(|(from, to)| from != to)
        };
        (
            moves().count(),
            moves().filter(|(from, _)| *from != 4).count(),
        )
    }

    #[test]
    fn only_the_keys_of_a_removed_endpoint_move() {
        let (before, mut after) = (ring(0..10), ring(0..10));
        assert!(after.remove(4));
        let first = |ring: &StableRing, hash| ring.walk(hash).next().unwrap();
        let (moved, needless) = moved(|h| first(&before, h), |h| first(&after, h));
        assert_eq!(needless, 0);
        assert!((1..=4000).contains(&moved), "{moved} of 20000");
    }

    #[test]
    fn on_the_ring_of_envoy_other_keys_move_too() {
        let ring = |endpoints: &[usize]| {
            let endpoints: Vec<_> = endpoints.iter().map(|e| (key(*e), 1)).collect();
            Ring::new(&endpoints)
        };
        let rest = [0, 1, 2, 3, 5, 6, 7, 8, 9];
        let (before, after) = (ring(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]), ring(&rest));
        let (moved, needless) = moved(
            |h| before.walk(h).next().unwrap(),
            |h| rest[after.walk(h).next().unwrap()],
        );
        assert!(needless > 200, "{needless} of 20000");
        assert!(moved <= 4000, "{moved} of 20000: still at most two of ten");
    }

    #[test]
    fn a_changed_ring_equals_a_new_one() {
        let mut grown = ring((0..6).rev());
        grown.insert(3, "other", 2).unwrap();
        grown.insert(3, &key(3), 1).unwrap();
        grown.insert(7, &key(7), 3).unwrap();
        grown.insert(7, &key(7), 0).unwrap();
        assert!(!grown.remove(7), "weight 0 has no points");
        assert_eq!(grown.points, ring(0..6).points);
        assert_eq!(grown.walk(0).count(), 6);
    }

    #[test]
    fn a_rejected_insert_leaves_the_ring_unchanged() {
        let mut ring = ring(0..2);
        assert!(ring.insert(0, &key(0), u32::MAX).is_err());
        assert_eq!((ring.len(), ring.walk(0).count()), (320, 2));
        assert!(StableRing::new(0).is_err());
        assert!(StableRing::new(usize::MAX).is_err());
    }

    #[test]
    fn shares_follow_weights() {
        let mut ring = StableRing::new(2000).unwrap();
        for (endpoint, weight) in [(0, 1), (1, 2), (2, 5)] {
            ring.insert(endpoint, &key(endpoint), weight).unwrap();
        }
        let mut counts = [0_i64; 3];
        hashes().for_each(|h| counts[ring.walk(h).next().unwrap()] += 1);
        for (count, weight) in counts.iter().zip([1, 2, 5]) {
            assert!((count - weight * 2500).abs() < 500, "{counts:?}");
        }
    }

    proptest! {
        #[test]
        fn keys_move_only_to_an_added_endpoint(
            weights in prop::collection::vec(0_u32..5, 1..10), weight in 0_u32..5, hashes: [u64; 32],
        ) {
            let mut ring = StableRing::new(10).unwrap();
            for (endpoint, weight) in weights.iter().enumerate() {
                ring.insert(endpoint, &key(endpoint), *weight).unwrap();
            }
            let before = ring.clone();
            let new = weights.len();
            ring.insert(new, &key(new), weight).unwrap();
            for hash in hashes {
                let others: Vec<_> = ring.walk(hash).filter(|endpoint| *endpoint != new).collect();
                prop_assert_eq!(others, before.walk(hash).collect::<Vec<_>>());
            }
            ring.remove(new);
            prop_assert_eq!(ring.points, before.points);
        }
    }
}
