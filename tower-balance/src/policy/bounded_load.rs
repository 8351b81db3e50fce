use tower_util::rng::{Rng, SplitMix};

use super::InvalidPolicy;

/// Consistent hashing with bounded loads: limits the requests in flight of an endpoint relative to its share.
///
/// Without a bound, a hot key overloads its endpoint. With it, an endpoint that has more requests in flight than slots
/// is skipped: [`pick`](Self::pick) returns the first one with a free slot, in an order that depends on the hash.
/// Instead, you can follow the order of a ring:
///
/// ```
/// use tower_balance::policy::{BoundedLoad, Ring};
///
/// let ring = Ring::new(&[("a", 1), ("b", 1), ("c", 1)]);
/// let bound = BoundedLoad::new(150)?;
/// let active = [9_u64, 0, 3];
/// let all = active.iter().sum();
/// let pick = ring.walk(7).find(|endpoint| !bound.is_over(active[*endpoint], 1, all, 3));
/// assert!(matches!(pick, Some(1 | 2)));
/// # Ok::<(), tower_balance::policy::InvalidPolicy>(())
/// ```
///
/// # Implementation notes
///
/// V. Mirrokni, M. Thorup, M. Zadimoghaddam, *Consistent Hashing with Bounded Loads*, 2018; slots and choice as in
/// Envoy.
#[derive(Debug, Clone)]
pub struct BoundedLoad {
    factor: u32,
}

impl BoundedLoad {
    /// Creates a bound with a factor in percent: 150 allows an endpoint 1.5 times its share. 120 to 200 are typical.
    ///
    /// # Errors
    ///
    /// If `factor` is less than 100.
    pub fn new(factor: u32) -> Result<Self, InvalidPolicy> {
        InvalidPolicy::ensure(
            factor >= 100,
            "the factor of bounded load must be at least 100 percent",
        )?;
        Ok(Self { factor })
    }

    /// Returns the number of slots, which is how many requests an endpoint of this weight may have in flight: its share
    /// of `all_active` plus the new request, times the factor, rounded up, and at least one.
    pub fn slots(&self, weight: u32, all_active: u64, all_weights: u64) -> u64 {
        let total = ((u128::from(all_active) + 1) * u128::from(self.factor)).div_ceil(100);
        let part = total * u128::from(weight);
        let slots = part.div_ceil(u128::from(all_weights.max(1)));
        u64::try_from(slots).unwrap_or(u64::MAX).max(1)
    }

    /// Returns whether an endpoint has more requests in flight than slots.
    pub fn is_over(&self, active: u64, weight: u32, all_active: u64, all_weights: u64) -> bool {
        active > self.slots(weight, all_active, all_weights)
    }

    /// Returns the endpoint for a request with this hash. `endpoints` are the requests in flight and the weight of
    /// each.
    ///
    /// Returns `preferred` unless it is over its bound; otherwise the first that is not, in an order that depends on
    /// the hash; if all are over it, the least overloaded. Returns `None` if `preferred` is out of range.
    ///
    /// # Cost
    ///
    /// Takes a step per endpoint, and allocates if the preferred one is over its bound.
    pub fn pick(&self, hash: u64, preferred: usize, endpoints: &[(u64, u32)]) -> Option<usize> {
        let all_active = endpoints
            .iter()
            .fold(0_u64, |sum, (active, _)| sum.saturating_add(*active));
        let all_weights = endpoints.iter().map(|(_, weight)| u64::from(*weight)).sum();
        // An endpoint is over the bound if this is greater than 1.
        let overload = |(active, weight): (u64, u32)| {
            active as f64 / self.slots(weight, all_active, all_weights) as f64
        };
        let mut least = (preferred, overload(*endpoints.get(preferred)?));
        if least.1 <= 1.0 {
            return Some(preferred);
        }
        let mut rng = SplitMix::with_seed(hash);
        let mut left: Vec<usize> = (0..endpoints.len()).collect();
        while !left.is_empty() {
            let endpoint = left.swap_remove(rng.next_range(0..left.len() as u64) as usize);
            let overload = overload(endpoints[endpoint]);
            if overload <= 1.0 {
                return Some(endpoint);
            }
            if overload < least.1 {
                least = (endpoint, overload);
            }
        }
        Some(least.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bound() -> BoundedLoad {
        BoundedLoad::new(125).unwrap()
    }

    #[test]
    fn slots_are_as_in_envoy() {
        // (10 + 1) · 1.25, rounded up, is 14.
        for (weight, all_weights, slots) in [
            (1, 2, 7),
            (1, 3, 5),
            (2, 3, 10),
            (1, 1, 14),
            (1, 1000, 1),
            (0, 3, 1),
        ] {
            assert_eq!(
                bound().slots(weight, 10, all_weights),
                slots,
                "{weight} of {all_weights}"
            );
        }
        assert_eq!(BoundedLoad::new(100).unwrap().slots(1, 0, 1), 1);
        assert_eq!(bound().slots(1, u64::MAX, 0), u64::MAX);
        assert!(BoundedLoad::new(99).is_err());
    }

    #[test]
    fn an_endpoint_is_over_its_bound_with_more_requests_than_slots() {
        // 10 in total, so 7 slots each.
        assert_eq!(bound().pick(1, 0, &[(7, 1), (3, 1)]), Some(0));
        assert_eq!(bound().pick(1, 0, &[(8, 1), (2, 1)]), Some(1));
    }

    #[test]
    fn the_overflow_of_a_hash_is_stable_and_spread_over_all_endpoints() {
        let mut endpoints = [(0, 1); 5];
        endpoints[0].0 = 50;
        let mut counts = [0; 5];
        for hash in 0..4000 {
            let pick = bound().pick(hash, 0, &endpoints).unwrap();
            assert_eq!(bound().pick(hash, 0, &endpoints), Some(pick));
            counts[pick] += 1;
        }
        assert_eq!(counts[0], 0);
        assert!(
            counts[1..].iter().all(|count| (850..1150).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn the_least_overloaded_is_picked_if_all_are_over() {
        // An endpoint of weight 0 has one slot.
        assert_eq!(bound().pick(1, 0, &[(9, 0), (3, 0), (5, 0)]), Some(1));
        assert_eq!(bound().pick(1, 3, &[(9, 0)]), None);
    }

    proptest! {
        #[test]
        fn no_endpoint_exceeds_its_slots_by_more_than_one(
            weights in prop::collection::vec(1_u32..10, 1..10), keys in prop::collection::vec(0_usize..3, 1..200),
        ) {
            // Requests never end, and there are only three keys.
            let mut endpoints: Vec<_> = weights.iter().map(|weight| (0, *weight)).collect();
            let sum: u32 = weights.iter().sum();
            for (sent, key) in keys.iter().enumerate() {
                let pick = bound().pick(*key as u64, key % weights.len(), &endpoints).unwrap();
                endpoints[pick].0 += 1;
                let slots = bound().slots(weights[pick], sent as u64, u64::from(sum));
                prop_assert!(endpoints[pick].0 <= slots + 1);
            }
        }

        #[test]
        fn any_input_is_accepted(
            hash: u64, preferred in 0_usize..12, endpoints in prop::collection::vec(any::<(u64, u32)>(), 0..10), factor in 100_u32..,
        ) {
            let pick = BoundedLoad::new(factor).unwrap().pick(hash, preferred, &endpoints);
            prop_assert_eq!(pick.is_some(), preferred < endpoints.len());
            prop_assert!(pick.is_none_or(|pick| pick < endpoints.len()));
        }
    }
}
