use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard};

use indexmap::IndexMap;
use tokio::time::Instant;
use tower_readiness::ignore_poison;

use super::endpoint_status::{EndpointStatus, StatusWaiter, WakeList};
use super::standing::{Reason, Standing};
use crate::BoxError;
use crate::error::NoHealthyEndpoints;

/// The health of the endpoints of one balancer, shared by the wrappers around its `Discover`: which endpoints are
/// ejected and why, and whether panic mode is on.
///
/// An endpoint is healthy if every wrapper considers it healthy. If the share of healthy endpoints is below the panic
/// threshold, by default 50 %, panic mode is on: ejections are ignored and all endpoints are used, because the few
/// healthy ones would be overloaded, and because it is more likely that the detection is wrong. This includes a single
/// endpoint that is ejected, and the case that all are. Endpoints that wait for their first check do not count. With a
/// threshold of 0, panic mode is never on: requests wait until an endpoint returns, or [fail
/// immediately](Self::set_fail_closed).
///
/// # Example
///
/// ```
/// use tower_health::{EjectOutliers, ErrorIsFailure, Health};
/// use tower_health::policy::outlier::OutlierConfig;
/// # use tower_util::{BoxError, service_fn};
/// # let echo = service_fn(|n: u32| async move { Ok::<_, BoxError>(n) });
/// # let discover = tower_discover::ServiceList::new::<u32>([echo]);
///
/// let health = Health::new();
/// health.set_panic_threshold(30);
/// health.on_change(|key: &usize, standing| println!("{key} is {standing}"));
/// let discover = EjectOutliers::new(discover, OutlierConfig::default(), ErrorIsFailure)
///     .unwrap()
///     .with_health(health);
/// ```
///
/// # Clone
///
/// Clones share the state and the settings.
pub struct Health<K>(Arc<Mutex<State<K>>>);

struct State<K> {
    members: IndexMap<K, Member>,
    /// The number of members that are not healthy.
    unhealthy: usize,
    /// The number of these that wait for their first check.
    unchecked: usize,
    /// The number of these that may be probed.
    probing: usize,
    percent: u32,
    panic: bool,
    fail_closed: bool,
    hook: Option<Arc<dyn Fn(&K, Standing) + Send + Sync>>,
}

#[derive(Default)]
struct Member {
    /// The status of the endpoint in each wrapper.
    statuses: Vec<Arc<EndpointStatus>>,
    unhealthy: bool,
    unchecked: bool,
    probing: bool,
}

/// Makes an endpoint of one wrapper a member of the [`Health`].
pub(super) struct Membership<K> {
    pub(super) key: K,
    health: Health<K>,
    status: Arc<EndpointStatus>,
}

impl<K> Health<K> {
    /// Creates a health without endpoints, with a panic threshold of 50 %.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            members: IndexMap::new(),
            unhealthy: 0,
            unchecked: 0,
            probing: 0,
            percent: 50,
            panic: false,
            fail_closed: false,
            hook: None,
        })))
    }

    /// Sets the panic threshold, in percent: if fewer of the endpoints are healthy, ejections are ignored. By default
    /// 50; with 0 they are never ignored. More than 100 is the same as 100.
    pub fn set_panic_threshold(&self, percent: u32) {
        let mut wake_list = WakeList::default();
        let mut state = self.lock();
        state.percent = percent.min(100);
        state.settle(&mut wake_list);
        drop(state);
    }

    /// Sets whether requests fail immediately with [`NoHealthyEndpoints`] while all endpoints are ejected, instead of
    /// waiting until one returns. By default they wait.
    ///
    /// This has an effect only with a panic threshold of 0, and only if [`rejection`](Self::rejection) is passed to the
    /// `reject_if` of the balancer. Requests still wait while an endpoint is not ready for another reason, because it
    /// connects or waits for its first check. Set it before the first request.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), tower_util::BoxError> {
    /// use tower_health::error::NoHealthyEndpoints;
    /// use tower_health::{ErrorIsFailure, Health, HealthExt};
    /// use tower_balance::p2c::Balance;
    /// # use tower_load::Constant;
    /// # use tower_service::Service;
    /// # use tower_util::{BoxError, ServiceExt, service_fn};
    /// # let broken = service_fn(|()| async { Err::<(), BoxError>("broken".into()) });
    /// # let endpoints = tower_discover::ServiceList::new::<()>([Constant::new(broken, 1)]);
    ///
    /// let health = Health::new();
    /// health.set_panic_threshold(0);
    /// health.set_fail_closed(true);
    /// let endpoints = endpoints
    ///     .share_health(health.clone())
    ///     .accrue_failures(Default::default(), ErrorIsFailure)?;
    /// let mut balance = Balance::new(endpoints).reject_if(health.rejection());
    /// // After five failures the only endpoint is ejected.
    /// for _ in 0..5 {
    ///     assert_eq!(balance.ready().await?.call(()).await.unwrap_err().to_string(), "broken");
    /// }
    /// let error = balance.ready().await?.call(()).await.unwrap_err();
    /// assert!(error.is::<NoHealthyEndpoints>());
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_fail_closed(&self, fails: bool) {
        self.lock().fail_closed = fails;
    }

    /// Returns the condition for a balancer to reject requests: [`NoHealthyEndpoints`] while all endpoints are ejected,
    /// if [`set_fail_closed`](Self::set_fail_closed) is set.
    ///
    /// It takes a lock whenever the balancer is polled and no endpoint is ready.
    pub fn rejection(
        &self,
    ) -> impl Fn() -> Option<BoxError> + Clone + Send + Sync + 'static + use<K>
    where
        K: Send + 'static,
    {
        let health = self.clone();
        move || {
            let closed = health.lock().is_closed();
            closed.then(|| NoHealthyEndpoints(()).into())
        }
    }

    /// Calls `hook` whenever a wrapper changes the standing of an endpoint. Replaces the previous hook.
    ///
    /// The hook may call the methods of this `Health`. It runs inside a request or a poll, so it must not block.
    pub fn on_change(&self, hook: impl Fn(&K, Standing) + Send + Sync + 'static) {
        self.lock().hook = Some(Arc::new(hook));
    }

    /// Returns whether panic mode is on: ejections are ignored, and all endpoints are used.
    pub fn is_panic(&self) -> bool {
        self.lock().panic
    }

    /// Returns the number of endpoints that are healthy in all wrappers.
    pub fn healthy(&self) -> usize {
        let state = self.lock();
        state.members.len() - state.unhealthy
    }

    /// Returns the number of endpoints.
    pub fn len(&self) -> usize {
        self.lock().members.len()
    }

    /// Returns whether there are no endpoints.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        ignore_poison(self.0.lock())
    }
}

impl<K: Hash + Eq> Health<K> {
    /// Returns the standing of an endpoint, and since when it has it: the worst of all wrappers, and of several equally
    /// bad ones the latest. Returns `None` if the endpoint does not exist.
    pub fn standing(&self, key: &K) -> Option<(Standing, Instant)> {
        self.lock().members.get(key).and_then(Member::standing)
    }

    pub(super) fn join(&self, key: K, standing: Standing, now: Instant) -> Membership<K>
    where
        K: Clone,
    {
        let mut wake_list = WakeList::default();
        let mut state = self.lock();
        let status = Arc::new(EndpointStatus::new(standing, now, state.panic));
        let member = state.members.entry(key.clone()).or_default();
        member.statuses.push(Arc::clone(&status));
        state.recount(&key);
        state.settle(&mut wake_list);
        drop(state);
        Membership {
            key,
            health: self.clone(),
            status,
        }
    }
}

impl<K: Hash + Eq + fmt::Debug> Membership<K> {
    /// Sets the standing of the endpoint. Dropping the returned value wakes the waiters and calls the hook.
    pub(super) fn set(&self, standing: Standing, now: Instant) -> Changed<'_, K> {
        let mut changed = Changed {
            membership: self,
            standing: None,
            hook: None,
            wake_list: WakeList::default(),
        };
        if self.status.standing().0 == standing {
            return changed;
        }
        let mut state = self.health.lock();
        if !self.is_in(&state) {
            return changed;
        }
        self.status
            .set_standing(standing, now, &mut changed.wake_list);
        state.recount(&self.key);
        state.settle(&mut changed.wake_list);
        (changed.standing, changed.hook) = (Some(standing), state.hook.clone());
        changed
    }
}

impl<K: Hash + Eq> Membership<K> {
    /// Removes the endpoint of this wrapper.
    pub(super) fn leave(&self) {
        let mut wake_list = WakeList::default();
        let mut state = self.health.lock();
        if let Some(member) = state.members.get_mut(&self.key) {
            member
                .statuses
                .retain(|status| !Arc::ptr_eq(status, &self.status));
        }
        state.recount(&self.key);
        state.settle(&mut wake_list);
        drop(state);
    }

    /// Whether [`leave`](Self::leave) was not called yet.
    pub(super) fn is_here(&self) -> bool {
        self.is_in(&self.health.lock())
    }

    fn is_in(&self, state: &State<K>) -> bool {
        let is_it = |status: &Arc<EndpointStatus>| Arc::ptr_eq(status, &self.status);
        let member = state.members.get(&self.key);
        member.is_some_and(|member| member.statuses.iter().any(is_it))
    }

    /// When the endpoint was added, or became healthy again in all wrappers.
    pub(super) fn healthy_since(&self) -> Instant {
        self.status.healthy_since()
    }

    pub(super) fn waiter(&self) -> StatusWaiter {
        self.status.waiter()
    }
}

/// Reports a change of standing when it is dropped, which must be after the locks are released: it logs the change,
/// calls the hook and wakes the waiters.
#[must_use = "the change is reported when this is dropped"]
pub(super) struct Changed<'a, K: fmt::Debug> {
    membership: &'a Membership<K>,
    standing: Option<Standing>,
    hook: Option<Arc<dyn Fn(&K, Standing) + Send + Sync>>,
    wake_list: WakeList,
}

impl<K: fmt::Debug> Drop for Changed<'_, K> {
    fn drop(&mut self) {
        let Some(standing) = self.standing else {
            return;
        };
        tracing::info!(endpoint = ?self.membership.key, %standing, "the standing of an endpoint has changed");
        if let Some(hook) = &self.hook {
            hook(&self.membership.key, standing);
        }
    }
}

impl<K: Hash + Eq> State<K> {
    /// Updates the counts after a change of an endpoint in a wrapper.
    fn recount(&mut self, key: &K) {
        let Some(member) = self.members.get_mut(key) else {
            return;
        };
        let standing = member
            .standing()
            .map_or(Standing::Healthy, |(standing, _)| standing);
        let unhealthy = standing != Standing::Healthy;
        let unchecked = standing == Standing::Ejected(Reason::Unchecked);
        let was_unhealthy = std::mem::replace(&mut member.unhealthy, unhealthy);
        let was_unchecked = std::mem::replace(&mut member.unchecked, unchecked);
        let probing = standing == Standing::Probing;
        let was_probing = std::mem::replace(&mut member.probing, probing);
        self.unhealthy = self.unhealthy + usize::from(unhealthy) - usize::from(was_unhealthy);
        self.unchecked = self.unchecked + usize::from(unchecked) - usize::from(was_unchecked);
        self.probing = self.probing + usize::from(probing) - usize::from(was_probing);
        if was_unhealthy && !unhealthy {
            let now = Instant::now();
            member
                .statuses
                .iter()
                .for_each(|status| status.set_healthy_since(now));
        }
        if member.statuses.is_empty() {
            self.members.swap_remove(key);
        }
    }
}

impl<K> State<K> {
    /// Whether all endpoints are ejected and requests must fail for that reason.
    fn is_closed(&self) -> bool {
        let out = self.unhealthy - self.unchecked - self.probing;
        self.fail_closed && !self.panic && out > 0 && out == self.members.len()
    }

    /// Turns panic mode on or off, as the counts require.
    fn settle(&mut self, wake_list: &mut WakeList) {
        let hosts = self.members.len() - self.unchecked;
        let healthy = self.members.len() - self.unhealthy;
        // With a threshold of 100 %, panic mode is off while all endpoints are healthy.
        let panic = healthy < hosts && healthy * 100 < self.percent as usize * hosts;
        if panic == self.panic {
            return;
        }
        self.panic = panic;
        tracing::warn!(
            panic,
            healthy,
            endpoints = hosts,
            "panic mode has changed: while it is on, ejections are ignored"
        );
        for status in self.members.values().flat_map(|member| &member.statuses) {
            status.set_panic(panic, wake_list);
        }
    }
}

impl Member {
    fn standing(&self) -> Option<(Standing, Instant)> {
        let badness = |(standing, since): &(Standing, Instant)| match standing {
            Standing::Healthy => (0, *since),
            Standing::Probing => (1, *since),
            Standing::Ejected(Reason::Unchecked) => (2, *since),
            Standing::Ejected(_) => (3, *since),
        };
        let standings = self.statuses.iter().map(|status| status.standing());
        standings.max_by_key(badness)
    }
}

impl<K> Clone for Health<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> Default for Health<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K> fmt::Debug for Health<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Health")
            .field("endpoints", &state.members.len())
            .field("unhealthy", &state.unhealthy)
            .field("panic", &state.panic)
            .finish_non_exhaustive()
    }
}
