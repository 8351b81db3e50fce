use std::fmt;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use indexmap::IndexSet;
use tokio::time::Instant;
use tower_classify::Class;
use tower_discover::{Change, Discover};
use tower_load::Load;
use tower_readiness::ignore_poison;
use tower_service::Service;

use super::driver::Driver;
use super::rule::{ByIdentity, Endpoint, EndpointRef, Registration, Rule};
use super::service::GuardedFuture;
use super::task::Task;
use super::{Health, Standing};

/// A list of the endpoints of a balancer and their state, for metrics and admin pages. It can be read at any time, from
/// any thread.
///
/// # Clone
///
/// Clones share the list.
///
/// # Cost
///
/// [`list`](Self::list) takes a lock that is also taken when endpoints are added or removed, and the lock of the
/// [`Health`] once for each endpoint. Requests take neither unless they change a standing. For what each request costs,
/// see [`Observe`].
pub struct EndpointStates<K: Hash + Eq + Clone + fmt::Debug> {
    endpoints: Arc<Mutex<IndexSet<ByIdentity<Observations<K>>>>>,
    health: Health<K>,
}

/// The state of one endpoint.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct EndpointState<K> {
    /// The key of the endpoint.
    pub key: K,
    /// Whether it was ready when it was last polled.
    pub ready: bool,
    /// Whether it is healthy, probing or ejected.
    pub standing: Standing,
    /// The time at which its standing last changed.
    pub since: Instant,
    /// The number of requests in flight.
    pub in_flight: usize,
    /// The number of requests sent to it since it was added.
    pub picked: u64,
    /// Its load when it last received a request; `None` before the first one, or without [`Observe::with_load`].
    pub load: Option<f64>,
}

/// A [`Discover`] that lists its endpoints in an [`EndpointStates`]. Usually this is the outermost wrapper.
///
/// # Example
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use tower_health::{EndpointStates, Health, Observe};
/// use tower_balance::p2c::Balance;
/// use tower_discover::ServiceList;
/// use tower_load::{CompleteOnResponse, Load, PendingRequests};
/// use tower_service::Service;
/// use tower_util::{BoxError, ServiceExt, service_fn};
///
/// let echo = service_fn(|n: u32| async move { Ok::<_, BoxError>(n) });
/// let list = ServiceList::new::<u32>([PendingRequests::new(echo, CompleteOnResponse::default())]);
/// // The health that the other wrappers share, if there are any.
/// let states = EndpointStates::new(Health::new());
/// let discover = Observe::new(list, states.clone()).with_load(|endpoint| endpoint.load().into());
/// let mut balance = Balance::new(discover);
///
/// let response = balance.ready().await.unwrap().call(1);
/// let [endpoint] = &*states.list() else { panic!("there is one") };
/// assert_eq!((endpoint.key, endpoint.picked, endpoint.in_flight), (0, 1, 1));
/// # response.await.unwrap();
/// # }
/// ```
///
/// # Cost
///
/// Each request takes two atomic additions on counters of the endpoint, and a store if the load is recorded. A change
/// of readiness takes a store.
pub struct Observe<D>
where
    D: Discover<Key: Hash + Clone + fmt::Debug>,
{
    driver: Driver<D, Observations<D::Key>>,
    load: Option<fn(&D::Service) -> f64>,
}

/// The rule of [`Observe`].
pub struct Observations<K: Hash + Eq + Clone + fmt::Debug> {
    states: EndpointStates<K>,
    task: Task,
}

/// The service of an endpoint in an [`Observe`]: counts requests, and forwards them unchanged.
pub struct Observed<S, K>
where
    K: Hash + Eq + Clone + fmt::Debug,
{
    inner: S,
    registration: Arc<Registration<Observations<K>>>,
    endpoint_ref: Arc<EndpointRef<Observations<K>, ()>>,
    load: Option<fn(&S) -> f64>,
}

/// Counters of one endpoint, for display only: no decision depends on them. Aligned to its own cache lines, because
/// each request to the endpoint writes here.
#[allow(unreachable_pub, unnameable_types, reason = "sealed")]
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Counts {
    ready: AtomicBool,
    picked: AtomicU64,
    /// The number of requests that are no longer in flight.
    ended: AtomicU64,
    /// The bits of an `f64`, plus one; 0 if there is no load yet.
    load: AtomicU64,
}

impl<K: Hash + Eq + Clone + fmt::Debug> EndpointStates<K> {
    /// Creates an empty list. `health` is the one that the other wrappers share; the standings are read from it.
    pub fn new(health: Health<K>) -> Self {
        Self {
            endpoints: Arc::default(),
            health,
        }
    }

    /// Returns the state of each endpoint, in no particular order.
    pub fn list(&self) -> Vec<EndpointState<K>> {
        let endpoints: Vec<_> = self.lock().iter().cloned().collect();
        let seen = endpoints
            .iter()
            .map(|ByIdentity(endpoint)| self.seen(endpoint));
        seen.flatten().collect()
    }

    /// Returns the health that the standings are read from.
    pub const fn health(&self) -> &Health<K> {
        &self.health
    }

    /// Returns `None` if the endpoint has just been removed.
    fn seen(&self, endpoint: &Endpoint<Observations<K>>) -> Option<EndpointState<K>> {
        let key = endpoint.membership.key.clone();
        let (standing, since) = self.health.standing(&key)?;
        let counts = &endpoint.state;
        let load = counts.load.load(Ordering::Relaxed);
        // `ended` before `picked`: each ended request was picked before, so the difference is never negative.
        let ended = counts.ended.load(Ordering::Acquire);
        let picked = counts.picked.load(Ordering::Relaxed);
        Some(EndpointState {
            key,
            ready: counts.ready.load(Ordering::Relaxed),
            standing,
            since,
            in_flight: picked.saturating_sub(ended) as usize,
            picked,
            load: load.checked_sub(1).map(f64::from_bits),
        })
    }

    fn lock(&self) -> MutexGuard<'_, IndexSet<ByIdentity<Observations<K>>>> {
        ignore_poison(self.endpoints.lock())
    }
}

impl<D> Observe<D>
where
    D: Discover<Key: Hash + Clone + fmt::Debug> + Unpin,
{
    /// Lists the endpoints of `discover` in `states`.
    pub fn new(discover: D, states: EndpointStates<D::Key>) -> Self {
        let rule = Observations {
            states,
            task: Task::default(),
        };
        let driver = Driver::new(discover, rule);
        Self { driver, load: None }
    }

    /// Records the load of an endpoint whenever it receives a request. By default it is not recorded.
    #[must_use]
    pub fn with_load(self, load: fn(&D::Service) -> f64) -> Self {
        let load = Some(load);
        Self { load, ..self }
    }
}

impl<D> Stream for Observe<D>
where
    D: Discover<Key: Hash + Clone + fmt::Debug> + Unpin,
{
    type Item = Result<Change<D::Key, Observed<D::Service, D::Key>>, D::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { driver, load } = &mut *self;
        let change = ready!(driver.poll_change(cx));
        Poll::Ready(change.map(|change| {
            Ok(match change? {
                Change::Insert(key, (inner, registration)) => {
                    let observed = Observed {
                        inner,
                        endpoint_ref: registration.endpoint_ref(()),
                        registration,
                        load: *load,
                    };
                    Change::Insert(key, observed)
                }
                Change::Remove(key) => Change::Remove(key),
            })
        }))
    }
}

impl<D> Unpin for Observe<D> where D: Discover<Key: Hash + Clone + fmt::Debug> + Unpin {}

impl<S: Load, K: Hash + Eq + Clone + fmt::Debug> Load for Observed<S, K> {
    type Metric = S::Metric;

    fn load(&self) -> S::Metric {
        self.inner.load()
    }

    fn relative_weight(load: &Self) -> u32 {
        S::relative_weight(&load.inner)
    }
}

impl<S, K, Req> Service<Req> for Observed<S, K>
where
    S: Service<Req>,
    K: Hash + Eq + Clone + fmt::Debug,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = GuardedFuture<S::Future, Observations<K>, (), (), Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        let polled = self.inner.poll_ready(cx);
        let ready = matches!(polled, Poll::Ready(Ok(())));
        let known = &self.registration.0.state.ready;
        // Usually it is unchanged, and a load keeps the cache line shared.
        if known.load(Ordering::Relaxed) != ready {
            known.store(ready, Ordering::Relaxed);
        }
        polled
    }

    fn call(&mut self, request: Req) -> Self::Future {
        if let Some(load) = self.load {
            // Saturates only for a NaN with all bits set.
            let bits = load(&self.inner).to_bits().saturating_add(1);
            self.registration
                .0
                .state
                .load
                .store(bits, Ordering::Relaxed);
        }
        let in_flight = self.endpoint_ref.begin();
        GuardedFuture::new(self.inner.call(request), in_flight, ())
    }
}

impl<K: Hash + Eq + Clone + fmt::Debug> Rule for Observations<K> {
    type Key = K;
    type State = Counts;
    type Attempt = ();

    fn health(&self) -> &Health<K> {
        &self.states.health
    }

    fn task(&self) -> &Task {
        &self.task
    }

    fn fresh(&self) -> (Counts, Standing) {
        (Counts::default(), Standing::Healthy)
    }

    fn entered(&self, endpoint: &Arc<Endpoint<Self>>) {
        self.states.lock().insert(ByIdentity(Arc::clone(endpoint)));
    }

    fn left(&self, endpoint: &Arc<Endpoint<Self>>) {
        self.states
            .lock()
            .swap_remove(&ByIdentity(Arc::clone(endpoint)));
    }

    fn begin(&self, endpoint: &Arc<Endpoint<Self>>) {
        endpoint.state.picked.fetch_add(1, Ordering::Relaxed);
    }

    fn end(&self, endpoint: &Arc<Endpoint<Self>>, (): (), _: Class) {
        endpoint.state.ended.fetch_add(1, Ordering::Release);
    }
}

impl<K: Hash + Eq + Clone + fmt::Debug> Clone for EndpointStates<K> {
    fn clone(&self) -> Self {
        Self {
            endpoints: Arc::clone(&self.endpoints),
            health: self.health.clone(),
        }
    }
}

impl<K: Hash + Eq + Clone + fmt::Debug> fmt::Debug for EndpointStates<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.list()).finish()
    }
}

impl<D> fmt::Debug for Observe<D>
where
    D: Discover<Key: Hash + Clone + fmt::Debug> + fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Observe").field(&self.driver).finish()
    }
}

impl<K: Hash + Eq + Clone + fmt::Debug> fmt::Debug for Observations<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Observations").field(&self.states).finish()
    }
}

impl<S: fmt::Debug, K: Hash + Eq + Clone + fmt::Debug> fmt::Debug for Observed<S, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observed")
            .field("inner", &self.inner)
            .field("endpoint", &self.registration.0.membership.key)
            .finish_non_exhaustive()
    }
}
