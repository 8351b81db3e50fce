//! A breaker for each endpoint of a balancer.

use std::fmt;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures_core::Stream;
use indexmap::IndexMap;
use pin_project_lite::pin_project;
use tower_classify::ErrorIsFailure;
use tower_discover::{Change, Discover};
use tower_readiness::{Observer, ignore_poison};
use tower_util::InvalidPolicy;
use tower_util::rng::{Rng, SplitMix};

use crate::circuit::{Mode, Settings};
use crate::policy::{BreakerPolicy, State};
use crate::{BreakerHandle, CircuitBreaker, Event, KeyEvent, Reject};

pin_project! {
    /// A [`Discover`] that gives each endpoint a breaker, so that a balancer sends requests to the others while it is
    /// open.
    ///
    /// While its breaker is open, an endpoint is not ready, so every picker skips it. When its time is over, it is ready
    /// for a bounded number of requests, which are its probes. While the breakers of all endpoints are open, requests
    /// wait.
    ///
    /// Each breaker looks at its endpoint alone. `tower_health::AccrueFailures` does as well, and ignores its decisions
    /// while too many endpoints are ejected; it has no rule for slow calls.
    ///
    /// If an endpoint is inserted again while it exists, the new service shares its breaker. An endpoint that is removed
    /// and added again has a new one.
    ///
    /// # Example
    ///
    /// The third endpoint fails. After three consecutive failures its breaker opens:
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), tower_breaker::BoxError> {
    /// use tower_balance::p2c::Balance;
    /// use tower_breaker::policy::{BreakerPolicy, State};
    /// use tower_breaker::{BoxError, BreakEndpoints};
    /// use tower_discover::ServiceList;
    /// use tower_load::{CompleteOnResponse, PendingRequests};
    /// use tower_service::Service;
    /// use tower_util::{ServiceExt, service_fn};
    ///
    /// let endpoints = [true, true, false].map(|works| {
    ///     let endpoint = service_fn(move |()| async move { if works { Ok(()) } else { Err(BoxError::from("broken")) } });
    ///     PendingRequests::new(endpoint, CompleteOnResponse::default())
    /// });
    /// let policy = BreakerPolicy::never().consecutive_failures(3);
    /// let discover = BreakEndpoints::new(ServiceList::new::<()>(endpoints), policy);
    /// let breakers = discover.breakers();
    /// let mut balance = Balance::new(discover);
    ///
    /// let mut failed = 0;
    /// for _ in 0..100 {
    ///     failed += u32::from(balance.ready().await?.call(()).await.is_err());
    /// }
    /// assert_eq!(failed, 3);
    /// let third = breakers.get(&2).expect("exists");
    /// assert!(matches!(third.state(), State::Open { .. }));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cost
    ///
    /// That of a [`CircuitBreaker`] for each request. The endpoint's service takes a lock only when it is polled after
    /// the state of its breaker has changed, or by another task than before.
    pub struct BreakEndpoints<D, C = ErrorIsFailure>
    where
        D: Discover,
    {
        #[pin]
        inner: D,
        settings: Settings,
        classify: C,
        rng: SplitMix,
        observe: Option<Observe<D::Key>>,
        breakers: EndpointBreakers<D::Key>,
    }
}

/// Creates the observer of an endpoint.
type Observe<K> = Arc<dyn Fn(&K) -> Observer<Event> + Send + Sync>;

/// The breakers of the endpoints of a [`BreakEndpoints`].
///
/// # Clone
///
/// Clones refer to the same breakers.
pub struct EndpointBreakers<K>(Arc<Mutex<IndexMap<K, BreakerHandle>>>);

impl<D> BreakEndpoints<D>
where
    D: Discover<Key: Hash + Clone>,
{
    /// Gives each endpoint of `discover` a breaker of this policy.
    ///
    /// # Panics
    ///
    /// If a setting of the policy is out of range; see [`try_new`](Self::try_new).
    pub fn new(discover: D, policy: BreakerPolicy) -> Self {
        Self::try_new(discover, policy).expect("the policy of the circuit breakers is valid")
    }

    /// Gives each endpoint of `discover` a breaker of this policy.
    ///
    /// # Errors
    ///
    /// If a number of failures, probes or successes is 0, a ratio is not more than 0 and at most 1, or the window or
    /// the time of a probe is zero.
    pub fn try_new(discover: D, policy: BreakerPolicy) -> Result<Self, InvalidPolicy> {
        Ok(Self {
            inner: discover,
            settings: Settings::new(policy)?,
            classify: ErrorIsFailure,
            rng: SplitMix::new(),
            observe: None,
            breakers: EndpointBreakers(Arc::default()),
        })
    }
}

impl<D: Discover, C> BreakEndpoints<D, C> {
    /// Sets which results are failures; see
    /// [`CircuitBreakerLayer::classify`](crate::CircuitBreakerLayer::classify).
    #[must_use]
    pub fn classify<C2>(self, classify: C2) -> BreakEndpoints<D, C2> {
        BreakEndpoints {
            inner: self.inner,
            settings: self.settings,
            classify,
            rng: self.rng,
            observe: self.observe,
            breakers: self.breakers,
        }
    }

    /// Calls `observer` for each event of an endpoint that is added later. It runs inside the response future or a poll,
    /// so it must not block.
    #[must_use]
    pub fn on_event(mut self, observer: impl Fn(&KeyEvent<D::Key>) + Send + Sync + 'static) -> Self
    where
        D::Key: Clone + Send + Sync + 'static,
    {
        let observer = Observer::new(observer);
        self.observe = Some(Arc::new(move |key: &D::Key| {
            let (observer, key) = (observer.clone(), key.clone());
            Observer::new(move |event: &Event| {
                observer.notify(&KeyEvent {
                    key: key.clone(),
                    event: *event,
                });
            })
        }));
        self
    }

    /// Sets the seed of the jitter of the open times, for tests. By default it is random.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.rng = SplitMix::with_seed(seed);
        self
    }

    /// Returns a handle of the breakers.
    pub fn breakers(&self) -> EndpointBreakers<D::Key> {
        self.breakers.clone()
    }

    /// Returns a reference to the inner `Discover`.
    pub const fn get_ref(&self) -> &D {
        &self.inner
    }

    /// Returns a mutable reference to the inner `Discover`.
    pub const fn get_mut(&mut self) -> &mut D {
        &mut self.inner
    }

    /// Consumes `self`, returning the inner `Discover`.
    pub fn into_inner(self) -> D {
        self.inner
    }
}

impl<D, K, S, E, C> Stream for BreakEndpoints<D, C>
where
    D: Discover<Key = K, Service = S, Error = E>,
    K: Hash + Eq + Clone,
    C: Clone,
{
    type Item = Result<Change<K, CircuitBreaker<S, C>>, E>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        this.inner.poll_discover(cx).map_ok(|change| match change {
            Change::Insert(key, service) => {
                let breaker = this.breakers.get(&key).unwrap_or_else(|| {
                    let observer = this.observe.as_ref().map(|observe| observe(&key));
                    let seed = this.rng.next_u64();
                    let breaker = BreakerHandle::new(this.settings.create_with(observer, seed));
                    ignore_poison(this.breakers.0.lock()).insert(key.clone(), breaker.clone());
                    breaker
                });
                let (shared, classify) = (breaker.shared(), this.classify.clone());
                let service = CircuitBreaker::build(service, shared, classify, Reject, Mode::Wait);
                Change::Insert(key, service)
            }
            Change::Remove(key) => {
                let removed = ignore_poison(this.breakers.0.lock()).swap_remove_entry(&key);
                // Only now, when the lock is released.
                drop(removed);
                Change::Remove(key)
            }
        })
    }
}

impl<K: Hash + Eq> EndpointBreakers<K> {
    /// Returns a handle of the breaker of an endpoint, or `None` if the endpoint does not exist.
    pub fn get(&self, key: &K) -> Option<BreakerHandle> {
        ignore_poison(self.0.lock()).get(key).cloned()
    }

    /// Returns all endpoints with the states of their breakers.
    pub fn states(&self) -> Vec<(K, State)>
    where
        K: Clone,
    {
        let breakers = ignore_poison(self.0.lock());
        let state = |(key, breaker): (&K, &BreakerHandle)| (key.clone(), breaker.state());
        breakers.iter().map(state).collect()
    }
}

impl<K> Clone for EndpointBreakers<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: fmt::Debug> fmt::Debug for EndpointBreakers<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(ignore_poison(self.0.lock()).iter())
            .finish()
    }
}

impl<D, C> fmt::Debug for BreakEndpoints<D, C>
where
    D: Discover<Key: fmt::Debug> + fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakEndpoints")
            .field("inner", &self.inner)
            .field("breakers", &self.breakers)
            .finish_non_exhaustive()
    }
}
