//! Rendezvous hashing: every endpoint has a score for every key, and the highest score wins.
//!
//! A change of the endpoints moves only the keys that have to move, and shares are exactly in proportion to the
//! weights. There is no state. A pick computes a score for each endpoint: for many endpoints use a
//! [`StableRing`](super::StableRing).
//!
//! ```
//! use tower_balance::policy::hash::xxh64;
//! use tower_balance::policy::rendezvous::{order, pick};
//!
//! let endpoints = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"].map(|key| (xxh64(key.as_bytes(), 0), 1.0));
//! let hash = xxh64(b"user 7", 0);
//! // Skip endpoints that are not ready.
//! let order = order(hash, endpoints);
//! assert_eq!(pick(hash, endpoints), Some(order[0]));
//! assert_eq!(order.len(), 3);
//! ```

use super::hash::{mix, xxh64};

/// Returns the score of an endpoint, given by hash and weight, for the hash of a request. The highest score wins.
///
/// It is 0.0 if the weight is 0.0, negative or NaN.
pub fn score(hash: u64, endpoint: u64, weight: f64) -> f64 {
    // From 0 to 1, exclusive, because half of the last bit is added.
    const SCALE: f64 = 1.0 / (1_u64 << 53) as f64;
    let uniform = ((mix(hash, endpoint) >> 11) as f64 + 0.5) * SCALE;
    // `max` returns 0 if the weight is NaN. The logarithm may be 0 if `uniform` was rounded up to 1.
    weight.max(0.0) / -uniform.ln().min(-f64::MIN_POSITIVE)
}

/// Returns the endpoint with the highest score. `endpoints` are the hash and the weight of each. Of those with the same
/// hash and weight, the first is returned.
///
/// Returns `None` if all weights are 0.
pub fn pick(hash: u64, endpoints: impl IntoIterator<Item = (u64, f64)>) -> Option<usize> {
    let mut best = (None, 0.0);
    for (i, (endpoint, weight)) in endpoints.into_iter().enumerate() {
        let score = score(hash, endpoint, weight);
        if score > best.1 {
            best = (Some(i), score);
        }
    }
    best.0
}

/// Returns the endpoints in the order of their scores, without those of weight 0.
pub fn order(hash: u64, endpoints: impl IntoIterator<Item = (u64, f64)>) -> Vec<usize> {
    let scores = endpoints
        .into_iter()
        .map(|(endpoint, weight)| score(hash, endpoint, weight));
    let mut order: Vec<_> = scores
        .enumerate()
        .filter(|(_, score)| *score > 0.0)
        .collect();
    order.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    order.into_iter().map(|(i, _)| i).collect()
}

/// Returns a random subset of `size` endpoints that changes little when endpoints are added or removed, as in gRPC:
/// those whose keys have the lowest hashes, or all if there are no more. Ordered by hash.
///
/// An added or removed endpoint replaces at most one member. Each client should have its own seed, so that clients have
/// different subsets.
///
/// ```
/// use tower_balance::policy::rendezvous::subset;
///
/// let endpoints = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"];
/// assert_eq!(subset(7, &endpoints, 2).len(), 2);
/// ```
///
/// # Implementation notes
///
/// gRFC A68, with the hash of the key itself. grpc-go hashes its own formatting of the address, so its subsets differ.
pub fn subset<K: AsRef<[u8]>>(seed: u64, keys: &[K], size: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..keys.len()).collect();
    order.sort_by_cached_key(|i| xxh64(keys[*i].as_ref(), seed));
    order.truncate(size);
    order
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hashes() -> impl Iterator<Item = u64> {
        (0..100_000_u32).map(|n| xxh64(&n.to_le_bytes(), 7))
    }

    fn endpoints(weights: &[f64]) -> Vec<(u64, f64)> {
        weights
            .iter()
            .enumerate()
            .map(|(i, weight)| (xxh64(&[i as u8], 0), *weight))
            .collect()
    }

    /// With the addresses unformatted; see the notes.
    #[test]
    fn the_subset_is_that_of_the_proposal() {
        let keys: Vec<_> = (0..10).map(|i| format!("endpoint-{i}")).collect();
        assert_eq!(subset(0, &keys, 5), [1, 3, 5, 2, 8]);
        assert_eq!(subset(0, &keys, 50).len(), 10);
        assert_eq!(subset(0, &keys, 0), []);
        assert_eq!(subset::<&str>(0, &[], 5), []);
    }

    #[test]
    fn shares_are_within_two_percent_of_the_weights() {
        let weights = [1.0, 2.0, 3.0, 4.0];
        let endpoints = endpoints(&weights);
        let mut counts = [0.0; 4];
        hashes().for_each(|hash| counts[pick(hash, endpoints.iter().copied()).unwrap()] += 1.0);
        for (count, weight) in counts.iter().zip(weights) {
            assert!(
                (count / 10_000.0 - weight).abs() < 0.02 * weight,
                "{counts:?}"
            );
        }
    }

    #[test]
    fn only_the_keys_of_the_one_that_leaves_move() {
        let before = endpoints(&[1.0; 10]);
        let mut after = before.clone();
        after[4].1 = 0.0;
        let mut moved = 0;
        for hash in hashes() {
            let picks = [&before, &after].map(|endpoints| pick(hash, endpoints.iter().copied()));
            assert!(picks[0] == picks[1] || picks[0] == Some(4));
            moved += usize::from(picks[0] != picks[1]);
        }
        assert!((9_500..10_500).contains(&moved), "{moved}");
    }

    #[test]
    fn nobody_without_weight_is_picked() {
        for weight in [0.0, -1.0, f64::NAN] {
            assert_eq!(pick(7, [(1, weight)]), None);
            assert_eq!(order(7, [(1, weight), (2, 1.0)]), [1]);
        }
        assert_eq!(pick(7, []), None);
        assert_eq!(pick(7, [(1, 1.0), (1, 1.0)]), Some(0));
    }

    proptest! {
        #[test]
        fn the_order_begins_with_the_pick(
            hash: u64, endpoints in prop::collection::vec((any::<u64>(), prop_oneof![0.0..10.0, any::<f64>()]), 0..30),
        ) {
            let order = order(hash, endpoints.iter().copied());
            prop_assert_eq!(order.first().copied(), pick(hash, endpoints.iter().copied()));
            prop_assert_eq!(order.len(), endpoints.iter().filter(|(_, weight)| *weight > 0.0).count());
        }

        #[test]
        fn one_that_goes_replaces_one_member(seed: u64, count in 2_u8..40, gone in any::<prop::sample::Index>(), size in 0_usize..20) {
            let keys: Vec<_> = (0..count).map(|i| [i]).collect();
            let gone = gone.get(&keys);
            let rest: Vec<_> = keys.iter().filter(|key| *key != gone).copied().collect();
            let members = |keys: &[[u8; 1]]| -> Vec<_> {
                subset(seed, keys, size).into_iter().map(|i| keys[i]).collect()
            };
            let (before, after) = (members(&keys), members(&rest));
            let left = before.iter().filter(|key| !after.contains(key)).count();
            prop_assert!(left == usize::from(before.contains(gone)));
        }
    }
}
