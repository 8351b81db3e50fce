use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::Picker;
use crate::InvalidPolicy;
use crate::rng::{Rng, SharedSplitMix, SplitMix};

/// The weights of the services of a [`Steer`](super::Steer), which can be changed at any time. Clones are the same weights.
#[derive(Clone, Debug)]
pub struct Weights(Arc<[AtomicU32]>);

impl Weights {
    /// Creates weights, one for each service. A service with the weight 0 gets no requests.
    ///
    /// # Errors
    ///
    /// If no weight is above 0.
    pub fn try_new(weights: impl IntoIterator<Item = u32>) -> Result<Self, InvalidPolicy> {
        let weights: Vec<_> = weights.into_iter().collect();
        ensure_some(&weights)?;
        Ok(Self(weights.into_iter().map(AtomicU32::new).collect()))
    }

    /// Changes the weights.
    ///
    /// A request that is sent meanwhile may be picked by some of the old ones and some of the new ones.
    ///
    /// # Errors
    ///
    /// If no weight is above 0, or if there are not as many as before. Then the weights stay as they are.
    pub fn set(&self, weights: &[u32]) -> Result<(), InvalidPolicy> {
        ensure_some(weights)?;
        InvalidPolicy::ensure(
            weights.len() == self.0.len(),
            "the number of weights cannot be changed",
        )?;
        for (weight, new) in self.0.iter().zip(weights) {
            weight.store(*new, Relaxed);
        }
        Ok(())
    }

    /// Returns the weights.
    pub fn get(&self) -> Vec<u32> {
        self.read().collect()
    }

    fn read(&self) -> impl Iterator<Item = u32> {
        self.0.iter().map(|weight| weight.load(Relaxed))
    }

    /// Returns an index at random, in proportion to the weights of the first `services`.
    fn draw(&self, services: usize, rng: &mut impl Rng) -> usize {
        let sum = self.read().take(services).map(u64::from).sum();
        let mut at = rng.next_range(0..sum);
        let mut last = 0;
        for (index, weight) in self.read().take(services).enumerate() {
            let weight = u64::from(weight);
            if at < weight {
                return index;
            }
            at -= weight;
            if weight > 0 {
                last = index;
            }
        }
        // The weights were changed since they were added up.
        last
    }

    /// Returns the index for this hash of a key, by the weights of the first `services`: the one with the highest score, which
    /// depends on its own weight only. So when a weight changes, keys move to this service or away from it, and no others.
    fn draw_for(&self, services: usize, hash: u64) -> usize {
        let mut best = (f64::NEG_INFINITY, 0);
        for (index, weight) in self.read().take(services).enumerate() {
            if weight == 0 {
                continue;
            }
            // Above 0, so that the logarithm is finite.
            let number = 1.0 - SplitMix::with_seed(hash ^ mixed(index)).next_f64();
            let score = number.ln() / f64::from(weight);
            if score > best.0 {
                best = (score, index);
            }
        }
        best.1
    }
}

fn ensure_some(weights: &[u32]) -> Result<(), InvalidPolicy> {
    let some = weights.iter().any(|weight| *weight > 0);
    InvalidPolicy::ensure(some, "a weight must be above 0")
}

/// Unlike the index itself, it differs from that of the next service in all bits.
fn mixed(index: usize) -> u64 {
    SplitMix::with_seed(index as u64).next_u64()
}

/// A [`Picker`] that sends each service a share of the requests in proportion to its weight: a canary, or a gradual move from one
/// version to the next.
///
/// # Example
///
/// ```
/// use std::convert::Infallible;
/// use tower_util::steer::{Steer, Weighted, Weights};
/// use tower_util::{BoxCloneService, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tower_util::InvalidPolicy> {
/// let versions: [BoxCloneService<u32, &str, Infallible>; 2] = [
///     service_fn(async |_| Ok("stable")).boxed_clone(),
///     service_fn(async |_| Ok("canary")).boxed_clone(),
/// ];
/// let weights = Weights::try_new([95, 5])?;
/// // The same user has the same version.
/// let picker = Weighted::new(weights.clone()).sticky(|user: &u32| Some(*user));
/// let router = Steer::new(versions, picker);
///
/// let mut canaries = 0;
/// for user in 0..1000 {
///     let version = router.clone().oneshot(user).await.unwrap();
///     assert_eq!(router.clone().oneshot(user).await, Ok(version));
///     canaries += u32::from(version == "canary");
/// }
/// assert!((25..75).contains(&canaries));
/// weights.set(&[0, 1])?;
/// assert_eq!(router.oneshot(7).await, Ok("canary"));
/// # Ok(())
/// # }
/// ```
///
/// # Number of services
///
/// Services without a weight get no requests, and weights without a service are ignored. If that leaves no weight above 0, the first
/// service gets all requests.
///
/// # Clone
///
/// Clones share the weights and the sequence of random numbers.
///
/// # Cost
///
/// For each request, two passes over the weights and an atomic addition; with a key, its hash and a logarithm per service.
#[derive(Clone)]
pub struct Weighted<K = Random> {
    weights: Weights,
    rng: SharedSplitMix,
    seed: u64,
    key: K,
}

/// Instead of a key: each request is for a service at random. The default of [`Weighted`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Random;

/// Returns the hash of the key of a request, or `None` if the request has none. A closure that [`Weighted::sticky`] has taken, or
/// [`Random`].
pub trait KeyHash<Req> {
    /// Returns the hash of the key of `request`.
    fn key_hash(&self, request: &Req, seed: u64) -> Option<u64>;
}

impl<Req> KeyHash<Req> for Random {
    #[inline]
    fn key_hash(&self, _request: &Req, _seed: u64) -> Option<u64> {
        None
    }
}

impl<F, Req, K> KeyHash<Req> for F
where
    F: Fn(&Req) -> Option<K>,
    K: Hash,
{
    fn key_hash(&self, request: &Req, seed: u64) -> Option<u64> {
        let key = self(request)?;
        // Not that of `RandomState`: all processes must pick the same service.
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(seed);
        key.hash(&mut hasher);
        Some(hasher.finish())
    }
}

impl Weighted {
    /// Creates a picker for services with these weights, with a random seed.
    pub fn new(weights: Weights) -> Self {
        Self {
            weights,
            rng: SharedSplitMix::new(),
            seed: 0,
            key: Random,
        }
    }
}

impl<K> Weighted<K> {
    /// Sends requests for which `key` returns the same key to the same service, until the weights change; then as few keys as
    /// possible move. Requests without a key are sent at random. By default, all are.
    ///
    /// All processes that were built by the same compiler pick the same service, given the same seed.
    pub fn sticky<Req, T, F>(self, key: F) -> Weighted<F>
    where
        F: Fn(&Req) -> Option<T>,
        T: Hash,
    {
        Weighted {
            weights: self.weights,
            rng: self.rng,
            seed: self.seed,
            key,
        }
    }

    /// Sets the seed of the random numbers and of the hashes of keys. By default, random for numbers, and 0 for keys.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.rng = SharedSplitMix::with_seed(seed);
        self.seed = seed;
        self
    }
}

impl<S, Req, K> Picker<S, Req> for Weighted<K>
where
    K: KeyHash<Req>,
{
    fn pick(&mut self, request: &Req, services: &[S]) -> usize {
        match self.key.key_hash(request, self.seed) {
            Some(hash) => self.weights.draw_for(services.len(), hash),
            None => self.weights.draw(services.len(), &mut self.rng),
        }
    }
}

impl<K> fmt::Debug for Weighted<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Weighted")
            .field("weights", &self.weights)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// At least one of them above 0.
    fn weights() -> impl Strategy<Value = Vec<u32>> {
        prop::collection::vec(0..20_u32, 1..8).prop_filter("none above 0", |weights| {
            weights.iter().any(|weight| *weight > 0)
        })
    }

    /// How often each service is picked, of 4000 times.
    fn counts(weights: &[u32], mut pick: impl FnMut(u64) -> usize) -> Vec<f64> {
        let mut counts = vec![0.0; weights.len()];
        (0..4000).for_each(|n| counts[pick(n)] += 1.0);
        counts
    }

    fn are_proportional(counts: &[f64], weights: &[u32]) -> bool {
        let sum: u32 = weights.iter().sum();
        counts.iter().zip(weights).all(|(count, weight)| {
            let share = f64::from(*weight) / f64::from(sum);
            // Six standard deviations.
            let tolerance = 6.0 * (4000.0 * share * (1.0 - share)).sqrt();
            (count - 4000.0 * share).abs() <= tolerance
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn shares_are_in_proportion_to_the_weights(weights in weights(), seed in any::<u64>()) {
            let shared = Weights::try_new(weights.clone()).unwrap();
            let mut rng = SplitMix::with_seed(seed);
            let at_random = counts(&weights, |_| shared.draw(weights.len(), &mut rng));
            prop_assert!(are_proportional(&at_random, &weights), "{at_random:?}");
            let key = |n: &u64| Some(*n);
            let by_key = counts(&weights, |n| {
                shared.draw_for(weights.len(), key.key_hash(&n, seed).unwrap())
            });
            prop_assert!(are_proportional(&by_key, &weights), "{by_key:?}");
        }

        #[test]
        fn only_keys_of_the_changed_service_move(
            mut weights in weights(),
            changed in any::<prop::sample::Index>(),
            to in 1..20_u32,
            hashes in prop::collection::vec(any::<u64>(), 200),
        ) {
            let shared = Weights::try_new(weights.clone()).unwrap();
            let pick = |hash: &u64| shared.draw_for(weights.len(), *hash);
            let before: Vec<_> = hashes.iter().map(pick).collect();
            let changed = changed.index(weights.len());
            let from = std::mem::replace(&mut weights[changed], to);
            shared.set(&weights).unwrap();
            for (hash, before) in hashes.iter().zip(before) {
                let after = shared.draw_for(weights.len(), *hash);
                let winner = if to > from { after } else { before };
                prop_assert!(after == before || winner == changed);
            }
        }
    }

    #[test]
    fn services_and_weights_need_not_be_as_many() {
        let mut rng = SplitMix::with_seed(7);
        let weights = Weights::try_new([0, 1, 1]).unwrap();
        for hash in 0..100 {
            assert_eq!(weights.draw(2, &mut rng), 1);
            assert_eq!(weights.draw_for(2, hash), 1);
            assert!(weights.draw(9, &mut rng) < 3 && weights.draw_for(9, hash) < 3);
            // No weight is left.
            assert_eq!(
                (weights.draw(1, &mut rng), weights.draw_for(1, hash)),
                (0, 0)
            );
        }
    }

    #[test]
    fn weights_are_checked_and_large_ones_do_not_overflow() {
        assert!(Weights::try_new([]).is_err());
        assert!(Weights::try_new([0, 0]).is_err());
        let weights = Weights::try_new([u32::MAX; 3]).unwrap();
        assert!(weights.draw(3, &mut SplitMix::with_seed(7)) < 3);
        assert!(weights.set(&[0, 0, 0]).is_err() && weights.set(&[1]).is_err());
        assert_eq!(weights.get(), [u32::MAX; 3]);
        weights.set(&[0, 0, 1]).unwrap();
        assert_eq!(weights.get(), [0, 0, 1]);
    }

    #[test]
    fn clones_draw_from_one_sequence() {
        let picker = Weighted::new(Weights::try_new([1, 1]).unwrap()).seed(7);
        let picked = counts(&[1, 1], |_| picker.clone().pick(&(), &[(); 2]));
        assert!(are_proportional(&picked, &[1, 1]), "{picked:?}");
    }
}
