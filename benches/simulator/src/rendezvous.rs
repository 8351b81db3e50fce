//! Random subsets by rendezvous hashing.

use tower_balance::policy::hash::xxh64;

/// Returns a random subset of `size` endpoints that changes little when endpoints are added or removed, as in gRPC:
/// those whose keys have the lowest hashes, or all if there are no more. Ordered by hash.
///
/// An added or removed endpoint replaces at most one member. Each client should have its own seed, so that clients have
/// different subsets.
///
/// # Implementation notes
///
/// gRFC A68, with the hash of the key itself. grpc-go hashes its own formatting of the address, so its subsets differ.
pub(crate) fn subset<K: AsRef<[u8]>>(seed: u64, keys: &[K], size: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..keys.len()).collect();
    order.sort_by_cached_key(|i| xxh64(keys[*i].as_ref(), seed));
    order.truncate(size);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected values are those of the hash of the plain addresses; see the implementation notes.
    #[test]
    fn the_subset_is_that_of_the_proposal() {
        let keys: Vec<_> = (0..10).map(|i| format!("endpoint-{i}")).collect();
        assert_eq!(subset(0, &keys, 5), [1, 3, 5, 2, 8]);
        assert_eq!(subset(0, &keys, 50).len(), 10);
        assert_eq!(subset(0, &keys, 0), []);
        assert_eq!(subset::<&str>(0, &[], 5), []);
    }

    #[test]
    fn an_endpoint_that_is_removed_is_replaced_by_one() {
        for (seed, count, size) in
            (0..50).flat_map(|seed| [(seed, 2, 1), (seed, 40, 19), (seed, 9, 20)])
        {
            let keys: Vec<_> = (0..count).map(|i| [i]).collect();
            let gone = keys[seed as usize % keys.len()];
            let rest: Vec<_> = keys.iter().filter(|key| **key != gone).copied().collect();
            let members = |keys: &[[u8; 1]]| -> Vec<_> {
                subset(seed, keys, size)
                    .into_iter()
                    .map(|i| keys[i])
                    .collect()
            };
            let (before, after) = (members(&keys), members(&rest));
            let left = before.iter().filter(|key| !after.contains(key)).count();
            assert_eq!(left, usize::from(before.contains(&gone)));
        }
    }
}
