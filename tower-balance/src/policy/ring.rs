use std::collections::HashSet;
use std::fmt::Write as _;

use super::InvalidPolicy;
use super::hash::xxh64;

/// The hash ring of Envoy and gRPC: a request goes to the endpoint of the next point on the ring.
///
/// The same endpoints in the same order give the same ring as theirs (gRPC sorts by address first): point `i` of an
/// endpoint is the XXH64 of `<key>_<i>`, and the endpoints share the ring in proportion to their weights.
///
/// The number of points of an endpoint depends on the sum of the weights. So when an endpoint is added or removed, the
/// others gain or lose points too, and keys move between endpoints that stay: removing one of ten endpoints moves 17 %
/// of the keys, where 10 % have to move. Unless you need compatibility with Envoy or gRPC, use a
/// [`StableRing`](super::StableRing).
///
/// - An endpoint of weight 0, or whose share is less than a point, has no points.
/// - Of endpoints with the same key, the first receives the requests; the others follow it in the [`walk`](Ring::walk).
/// - Without points, walks are empty.
///
/// # Example
///
/// ```
/// use tower_balance::policy::Ring;
/// use tower_balance::policy::hash::xxh64;
///
/// let ring = Ring::new(&[("10.0.0.1:80", 1), ("10.0.0.2:80", 1), ("10.0.0.3:80", 2)]);
/// let order: Vec<usize> = ring.walk(xxh64(b"user 7", 0)).collect();
/// // Skip endpoints that are not ready.
/// let ready = |endpoint: &usize| *endpoint != order[0];
/// assert_eq!(ring.walk(xxh64(b"user 7", 0)).find(ready), Some(order[1]));
/// ```
///
/// # Cost
///
/// Building sorts the points; finding the first endpoint is a binary search and allocates nothing.
#[derive(Debug, Clone)]
pub struct Ring {
    points: Points,
}

impl Ring {
    /// Builds a ring of at least 1,024 points and at most 4,096. Endpoints are given by key and weight.
    pub fn new<K: AsRef<str>>(endpoints: &[(K, u32)]) -> Self {
        Self::build(endpoints, 1024, 4096)
    }

    /// Builds a ring of at least `min` points, or more if that gives the smallest weight a whole number of points, and
    /// at most `max`.
    ///
    /// # Errors
    ///
    /// If `1 <= min <= max <= 8,388,608` does not hold.
    pub fn with_size<K: AsRef<str>>(
        endpoints: &[(K, u32)],
        min: usize,
        max: usize,
    ) -> Result<Self, InvalidPolicy> {
        InvalidPolicy::ensure(min >= 1, "a ring needs at least one point")?;
        InvalidPolicy::ensure(
            min <= max,
            "the minimum size of the ring must not exceed the maximum",
        )?;
        InvalidPolicy::ensure(max <= MAX_POINTS, "a ring has at most 8388608 points")?;
        Ok(Self::build(endpoints, min, max))
    }

    fn build<K: AsRef<str>>(endpoints: &[(K, u32)], min: usize, max: usize) -> Self {
        let weights = endpoints.iter().map(|(_, weight)| *weight);
        let sum: f64 = weights.clone().map(f64::from).sum();
        let least = weights
            .filter(|weight| *weight > 0)
            .min()
            .map_or(1.0, f64::from)
            / sum;
        let scale = ((least * min as f64).ceil() / least).min(max as f64);

        let mut points = Points::default();
        // The exact and the actual number of points so far: if rounding up gives one endpoint too many points, the next
        // one has fewer.
        let (mut target, mut count) = (0.0, 0_usize);
        for (endpoint, (key, weight)) in endpoints.iter().enumerate() {
            if *weight == 0 {
                continue;
            }
            target += scale * f64::from(*weight) / sum;
            let more = (target.ceil() as usize).saturating_sub(count);
            count += more;
            points.add(endpoint, hashes(key.as_ref(), more));
        }
        points.sort();
        Self { points }
    }

    /// Iterates over the endpoints, each once, in the order in which they follow the hash.
    pub fn walk(&self, hash: u64) -> Walk<'_> {
        self.points.walk(hash)
    }

    /// Returns the number of points.
    pub fn len(&self) -> usize {
        self.points.sorted.len()
    }

    /// Returns whether there are no points, so that walks are empty.
    pub fn is_empty(&self) -> bool {
        self.points.sorted.is_empty()
    }
}

/// Iterates over the endpoints that follow a hash on the ring, each once.
#[derive(Debug, Clone)]
pub struct Walk<'a> {
    points: &'a Points,
    next: usize,
    /// The last endpoint yielded, added to `seen` only at the next call, so that the first call does not allocate.
    last: Option<usize>,
    seen: HashSet<usize>,
}

impl Iterator for Walk<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.seen.extend(self.last.take());
        if self.seen.len() == self.points.endpoints {
            return None;
        }
        let sorted = &self.points.sorted;
        loop {
            let (_, endpoint) = sorted[self.next % sorted.len()];
            self.next += 1;
            if !self.seen.contains(&endpoint) {
                self.last = Some(endpoint);
                return self.last;
            }
        }
    }
}

/// The points of a ring, ordered by hash, then endpoint.
#[derive(Debug, Clone, Default)]
pub(super) struct Points {
    pub(super) sorted: Vec<(u64, usize)>,
    /// The number of different endpoints.
    endpoints: usize,
}

impl Points {
    /// Adds the points of an endpoint, which must not be on the ring yet. Must be followed by [`sort`](Self::sort).
    pub(super) fn add(&mut self, endpoint: usize, hashes: impl Iterator<Item = u64>) {
        let before = self.sorted.len();
        self.sorted.extend(hashes.map(|hash| (hash, endpoint)));
        self.endpoints += usize::from(self.sorted.len() > before);
    }

    pub(super) fn sort(&mut self) {
        self.sorted.sort_unstable();
    }

    pub(super) fn walk(&self, hash: u64) -> Walk<'_> {
        Walk {
            points: self,
            next: self.sorted.partition_point(|(point, _)| *point < hash),
            last: None,
            seen: HashSet::new(),
        }
    }
}

/// Returns the hashes of the points of an endpoint with this key.
pub(super) fn hashes(key: &str, count: usize) -> impl Iterator<Item = u64> + '_ {
    let mut name = String::with_capacity(key.len() + 8);
    (0..count).map(move |i| {
        name.clear();
        write!(name, "{key}_{i}").expect("a string takes everything");
        xxh64(name.as_bytes(), 0)
    })
}

/// As in Envoy. 128 MiB.
pub(super) const MAX_POINTS: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn endpoints(ports: impl IntoIterator<Item = u16>) -> Vec<(String, u32)> {
        ports
            .into_iter()
            .map(|port| (format!("127.0.0.1:{port}"), 1))
            .collect()
    }

    /// The test cases of Envoy's `ring_hash_lb_test.cc`.
    #[test]
    fn the_ring_is_as_in_envoy() {
        let ring = Ring::with_size(&endpoints(90..96), 12, 4096).unwrap();
        let expected = [
            (833437586790550860, 4),
            (928266305478181108, 2),
            (1033482794131418490, 0),
            (3551244743356806947, 5),
            (3851675632748031481, 3),
            (5583722120771150861, 1),
            (6311230543546372928, 1),
            (7700377290971790572, 3),
            (13144177310400110813, 5),
            (13444792449719432967, 2),
            (15516499411664133160, 4),
            (16117243373044804889, 0),
        ];
        assert_eq!(ring.points.sorted, expected);
        for (hash, endpoint) in [
            (0, 4),
            (u64::MAX, 4),
            (3551244743356806947, 5),
            (3551244743356806948, 3),
        ] {
            assert_eq!(ring.walk(hash).next(), Some(endpoint), "{hash}");
        }
    }

    #[test]
    fn a_walk_yields_each_endpoint_once_in_the_order_of_the_ring() {
        let ring = Ring::with_size(&endpoints(90..96), 12, 4096).unwrap();
        assert_eq!(ring.walk(0).collect::<Vec<_>>(), [4, 2, 0, 5, 3, 1]);
        assert_eq!(
            ring.walk(6311230543546372928).collect::<Vec<_>>(),
            [1, 3, 5, 2, 4, 0]
        );
        let mut walk = ring.walk(0);
        assert_eq!(walk.by_ref().count(), 6);
        assert_eq!(walk.next(), None);
    }

    #[test]
    fn invalid_sizes_are_rejected() {
        let size = |min, max| Ring::with_size(&endpoints(0..2), min, max);
        for (min, max) in [(0, 1), (2, 1), (1, (8 << 20) + 1)] {
            assert!(size(min, max).is_err(), "{min} {max}");
        }
        assert_eq!(size(1, 1).unwrap().len(), 1);
        let message = size(2, 1).unwrap_err().to_string();
        assert_eq!(
            message,
            "invalid policy: the minimum size of the ring must not exceed the maximum"
        );
    }

    #[test]
    fn endpoints_of_weight_zero_have_no_points() {
        assert_eq!(Ring::new::<&str>(&[]).walk(7).next(), None);
        let ring = Ring::new(&[("a", 0), ("b", 0)]);
        assert!(ring.is_empty());
        assert_eq!(ring.walk(7).next(), None);
        let ring = Ring::new(&[("a", 0), ("b", 1)]);
        assert_eq!(ring.walk(7).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn of_endpoints_with_the_same_key_the_first_is_picked() {
        let ring = Ring::new(&[("a", 1), ("a", 1)]);
        for hash in (0..100).map(|n| xxh64(&[n], 0)) {
            assert_eq!(ring.walk(hash).collect::<Vec<_>>(), [0, 1]);
        }
    }

    #[test]
    fn points_are_in_proportion_to_weights() {
        let ring = Ring::new(&[("a", 1), ("b", 2), ("c", 5)]);
        let count = |endpoint| {
            ring.points
                .sorted
                .iter()
                .filter(|(_, e)| *e == endpoint)
                .count()
        };
        assert_eq!([count(0), count(1), count(2)], [128, 256, 640]);
    }

    proptest! {
        #[test]
        fn the_size_is_bounded_for_any_weights(
            weights in prop::collection::vec(any::<u32>(), 0..50),
            min in 1_usize..200,
            more in 0_usize..200,
            hash: u64,
        ) {
            let endpoints: Vec<_> =
                weights.iter().enumerate().map(|(i, weight)| (i.to_string(), *weight)).collect();
            let ring = Ring::with_size(&endpoints, min, min + more).unwrap();
            // Sums of fractions are rounded, so there may be one point too many.
            prop_assert!(ring.len() <= min + more + 1);
            let mut walk: Vec<_> = ring.walk(hash).collect();
            walk.sort_unstable();
            walk.dedup();
            prop_assert_eq!(walk.len(), ring.walk(hash).count());
            prop_assert!(walk.iter().all(|endpoint| weights[*endpoint] > 0));
        }
    }
}
