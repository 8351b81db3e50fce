use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use tower_classify::ErrorIsFailure;
use tower_layer::Layer;
use tower_readiness::Observer;
use tower_util::InvalidPolicy;

use super::KeyedCircuitBreaker;
use super::shards::Shards;
use crate::KeyEvent;
use crate::policy::{BreakerPolicy, Circuit, State};

/// Wraps services in [`KeyedCircuitBreaker`]; see the [module](super). All of them share the breakers.
///
/// | parameter | decides | default |
/// |---|---|---|
/// | `K` | the key | |
/// | `X` | the key of a request: a closure `Fn(&Request) -> K` | |
/// | `C` | which results are failures: a [`Classify`](tower_classify::Classify) | [`ErrorIsFailure`] |
pub struct KeyedCircuitBreakerLayer<K, X, C = ErrorIsFailure> {
    shards: Arc<Shards<K>>,
    key: X,
    classify: C,
}

/// Shows the states of the breakers of a [`KeyedCircuitBreakerLayer`], and controls them.
///
/// # Clone
///
/// Clones refer to the same breakers.
pub struct KeyedBreakers<K>(Arc<Shards<K>>);

impl<K: Hash + Eq + Clone, X> KeyedCircuitBreakerLayer<K, X> {
    /// The memory of each key in bytes, without what the key itself allocates.
    pub const BYTES_PER_KEY: usize = Shards::<K>::BYTES_PER_KEY;

    /// Creates a layer with this policy for up to `max_keys` keys, which `key` returns for a request.
    ///
    /// # Panics
    ///
    /// If a setting of the policy is out of range, or `max_keys` is zero; see [`try_new`](Self::try_new).
    pub fn new<Req>(policy: BreakerPolicy, max_keys: usize, key: X) -> Self
    where
        X: Fn(&Req) -> K,
    {
        Self::try_new(policy, max_keys, key).expect("the policy of the circuit breakers is valid")
    }

    /// Creates a layer with this policy for up to `max_keys` keys, which `key` returns for a request.
    ///
    /// # Errors
    ///
    /// If a number of failures, probes or successes is 0, a ratio is not more than 0 and at most 1, or the window, the
    /// time of a probe or `max_keys` is zero.
    pub fn try_new<Req>(
        policy: BreakerPolicy,
        max_keys: usize,
        key: X,
    ) -> Result<Self, InvalidPolicy>
    where
        X: Fn(&Req) -> K,
    {
        Ok(Self {
            shards: Arc::new(Shards::new(policy, max_keys)?),
            key,
            classify: ErrorIsFailure,
        })
    }
}

impl<K: Hash + Eq + Clone, X, C> KeyedCircuitBreakerLayer<K, X, C> {
    /// Sets which results are failures; see
    /// [`CircuitBreakerLayer::classify`](crate::CircuitBreakerLayer::classify).
    #[must_use]
    pub fn classify<C2>(self, classify: C2) -> KeyedCircuitBreakerLayer<K, X, C2> {
        KeyedCircuitBreakerLayer {
            shards: self.shards,
            key: self.key,
            classify,
        }
    }

    /// Calls `observer` for each event. It runs inside the response future or a call, so it must not block. No lock is
    /// held meanwhile.
    ///
    /// Has no effect once the layer was used, or was cloned, or its [`breakers`](Self::breakers) were returned.
    #[must_use]
    pub fn on_event(mut self, observer: impl Fn(&KeyEvent<K>) + Send + Sync + 'static) -> Self {
        if let Some(shards) = Arc::get_mut(&mut self.shards) {
            shards.observer = Observer::new(observer);
        }
        self
    }

    /// Sets the seed of the jitter of the open times, for tests. By default it is random. The keys are distributed over
    /// the shards at random nevertheless.
    ///
    /// Has no effect once the layer was used, or was cloned, or its [`breakers`](Self::breakers) were returned.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        if let Some(shards) = Arc::get_mut(&mut self.shards) {
            shards.set_seed(seed);
        }
        self
    }

    /// Returns a handle of the breakers.
    pub fn breakers(&self) -> KeyedBreakers<K> {
        KeyedBreakers(Arc::clone(&self.shards))
    }
}

impl<S, K, X: Clone, C: Clone> Layer<S> for KeyedCircuitBreakerLayer<K, X, C> {
    type Service = KeyedCircuitBreaker<S, K, X, C>;

    fn layer(&self, inner: S) -> Self::Service {
        let (shards, classify) = (Arc::clone(&self.shards), self.classify.clone());
        KeyedCircuitBreaker::build(inner, shards, self.key.clone(), classify)
    }
}

impl<K: Hash + Eq + Clone> KeyedBreakers<K> {
    /// Returns whether the breaker of the key lets requests through, or `None` if there is none: it was not used yet, or
    /// was forgotten.
    pub fn state(&self, key: &K) -> Option<State> {
        self.0.state(key)
    }

    /// Rejects all requests with this key until the key is [reset](Self::reset), or is forgotten because it is not used.
    pub fn force_open(&self, key: &K) {
        self.0.control(key, Circuit::force_open);
    }

    /// Lets all requests with this key through until the key is [reset](Self::reset), or is forgotten because it is not
    /// used.
    pub fn force_closed(&self, key: &K) {
        self.0.control(key, Circuit::force_closed);
    }

    /// Closes the breaker of the key and forgets its history.
    pub fn reset(&self, key: &K) {
        self.0.control(key, Circuit::reset);
    }

    /// Returns the number of keys.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K, X: Clone, C: Clone> Clone for KeyedCircuitBreakerLayer<K, X, C> {
    fn clone(&self) -> Self {
        Self {
            shards: Arc::clone(&self.shards),
            key: self.key.clone(),
            classify: self.classify.clone(),
        }
    }
}

impl<K> Clone for KeyedBreakers<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, X, C> fmt::Debug for KeyedCircuitBreakerLayer<K, X, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedCircuitBreakerLayer")
            .field("breakers", &self.shards)
            .finish_non_exhaustive()
    }
}

impl<K> fmt::Debug for KeyedBreakers<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyedBreakers").field(&self.0).finish()
    }
}
