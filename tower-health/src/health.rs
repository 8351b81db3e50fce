use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard};

use indexmap::IndexMap;
use tokio::time::Instant;

use super::gate::{Gate, Pass, Wakes};
use super::standing::{Reason, Standing};
use crate::BoxError;
use crate::error::NoHealthyEndpoints;
use crate::lock::lock;

/// The health of the endpoints of one balancer, shared by the wrappers around its discovery: who is out and why, and
/// whether so few are well that it is better ignored.
///
/// An endpoint is well if it is so for each wrapper. When less than the panic threshold are, by default 50 %, those which
/// are out are used as well: so few would be crushed, and it is more likely the health that is wrong. That is so too for a
/// single endpoint that is out, and when all are; endpoints that wait for their first check do not count. With a threshold
/// of 0 it never is, and requests wait for an endpoint to return, or [fail at once](Self::set_fail_closed).
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
/// A clone is the same.
pub struct Health<K>(Arc<Mutex<State<K>>>);

struct State<K> {
    members: IndexMap<K, Member>,
    /// How many members are not well.
    unwell: usize,
    /// How many of these are only not known to be well.
    unknown: usize,
    /// How many of these are on trial.
    on_trial: usize,
    percent: u32,
    panic: bool,
    fail_closed: bool,
    hook: Option<Arc<dyn Fn(&K, Standing) + Send + Sync>>,
}

#[derive(Default)]
struct Member {
    /// One for each wrapper.
    gates: Vec<Arc<Gate>>,
    unwell: bool,
    unknown: bool,
    on_trial: bool,
}

/// One endpoint of one wrapper.
pub(super) struct Seat<K> {
    pub(super) key: K,
    health: Health<K>,
    gate: Arc<Gate>,
}

impl<K> Health<K> {
    /// Without endpoints, and with a panic threshold of 50 %.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            members: IndexMap::new(),
            unwell: 0,
            unknown: 0,
            on_trial: 0,
            percent: 50,
            panic: false,
            fail_closed: false,
            hook: None,
        })))
    }

    /// Health is ignored when less than so many percent of the endpoints are well; more than 100 counts as 100. By default
    /// 50; with 0 it never is.
    pub fn set_panic_threshold(&self, percent: u32) {
        let mut wakes = Wakes::default();
        let mut state = self.lock();
        state.percent = percent.min(100);
        state.settle(&mut wakes);
        drop(state);
    }

    /// Whether requests fail at once with [`NoHealthyEndpoints`] while all endpoints are
    /// out, instead of waiting until one returns. By default they wait.
    ///
    /// It matters only with a panic threshold of 0. Requests wait nevertheless while an endpoint is not out but not ready,
    /// as it connects or waits for its first check. The balancer has to be told of this health, by its `reject_if` and
    /// the [`rejection`](Self::rejection). To be set before there are requests.
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
    /// // After five failures the only endpoint is out.
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

    /// Returns the condition for a balancer to reject requests: [`NoHealthyEndpoints`] while all endpoints are ejected, if
    /// [`set_fail_closed`](Self::set_fail_closed) is set.
    ///
    /// Costs a lock whenever the balancer is polled and no endpoint is ready.
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

    /// Calls `hook` whenever a wrapper finds that an endpoint does better or worse, in place of the hook there was.
    ///
    /// It may look at this `Health`; it runs in the middle of a request or of a poll, so it must not block.
    pub fn on_change(&self, hook: impl Fn(&K, Standing) + Send + Sync + 'static) {
        self.lock().hook = Some(Arc::new(hook));
    }

    /// Whether health is ignored now.
    pub fn is_panic(&self) -> bool {
        self.lock().panic
    }

    /// How many endpoints are well for all wrappers.
    pub fn well(&self) -> usize {
        let state = self.lock();
        state.members.len() - state.unwell
    }

    /// How many endpoints there are.
    pub fn len(&self) -> usize {
        self.lock().members.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        lock(&self.0)
    }
}

impl<K: Hash + Eq> Health<K> {
    /// How the endpoint does, and since when: the worst that a wrapper says of it, and of these the latest. `None` if it is
    /// not here.
    pub fn standing(&self, key: &K) -> Option<(Standing, Instant)> {
        self.lock().members.get(key).and_then(Member::standing)
    }

    pub(super) fn join(&self, key: K, standing: Standing, now: Instant) -> Seat<K>
    where
        K: Clone,
    {
        let mut wakes = Wakes::default();
        let mut state = self.lock();
        let gate = Arc::new(Gate::new(standing, now, state.panic));
        let member = state.members.entry(key.clone()).or_default();
        member.gates.push(Arc::clone(&gate));
        state.recount(&key);
        state.settle(&mut wakes);
        drop(state);
        Seat {
            key,
            health: self.clone(),
            gate,
        }
    }
}

impl<K: Hash + Eq + fmt::Debug> Seat<K> {
    /// The endpoint does so from now on. Whoever is concerned is woken when the answer is dropped.
    pub(super) fn set(&self, standing: Standing, now: Instant) -> Changed<'_, K> {
        let mut changed = Changed {
            seat: self,
            standing: None,
            hook: None,
            wakes: Wakes::default(),
        };
        if self.gate.standing().0 == standing {
            return changed;
        }
        let mut state = self.health.lock();
        if !self.is_in(&state) {
            return changed;
        }
        self.gate.set_standing(standing, now, &mut changed.wakes);
        state.recount(&self.key);
        state.settle(&mut changed.wakes);
        (changed.standing, changed.hook) = (Some(standing), state.hook.clone());
        changed
    }
}

impl<K: Hash + Eq> Seat<K> {
    /// The endpoint is here no more.
    pub(super) fn leave(&self) {
        let mut wakes = Wakes::default();
        let mut state = self.health.lock();
        if let Some(member) = state.members.get_mut(&self.key) {
            member.gates.retain(|gate| !Arc::ptr_eq(gate, &self.gate));
        }
        state.recount(&self.key);
        state.settle(&mut wakes);
        drop(state);
    }

    /// Whether it has not left.
    pub(super) fn is_here(&self) -> bool {
        self.is_in(&self.health.lock())
    }

    fn is_in(&self, state: &State<K>) -> bool {
        let is_it = |gate: &Arc<Gate>| Arc::ptr_eq(gate, &self.gate);
        let member = state.members.get(&self.key);
        member.is_some_and(|member| member.gates.iter().any(is_it))
    }

    /// When the endpoint came, or was well again for all wrappers.
    pub(super) fn well_since(&self) -> Instant {
        self.gate.well_since()
    }

    pub(super) fn pass(&self) -> Pass {
        self.gate.pass()
    }
}

/// What there is to do about a change when the locks are free.
#[must_use = "who is to hear of the change hears of it when this is dropped"]
pub(super) struct Changed<'a, K: fmt::Debug> {
    seat: &'a Seat<K>,
    standing: Option<Standing>,
    hook: Option<Arc<dyn Fn(&K, Standing) + Send + Sync>>,
    wakes: Wakes,
}

impl<K: fmt::Debug> Drop for Changed<'_, K> {
    fn drop(&mut self) {
        let Some(standing) = self.standing else {
            return;
        };
        tracing::info!(endpoint = ?self.seat.key, %standing, "the health of an endpoint has changed");
        if let Some(hook) = &self.hook {
            hook(&self.seat.key, standing);
        }
    }
}

impl<K: Hash + Eq> State<K> {
    /// The gates of an endpoint have changed.
    fn recount(&mut self, key: &K) {
        let Some(member) = self.members.get_mut(key) else {
            return;
        };
        let standing = member
            .standing()
            .map_or(Standing::Well, |(standing, _)| standing);
        let unwell = standing != Standing::Well;
        let unknown = standing == Standing::Out(Reason::Unchecked);
        let was_unwell = std::mem::replace(&mut member.unwell, unwell);
        let was_unknown = std::mem::replace(&mut member.unknown, unknown);
        let on_trial = standing == Standing::Trial;
        let was_on_trial = std::mem::replace(&mut member.on_trial, on_trial);
        self.unwell = self.unwell + usize::from(unwell) - usize::from(was_unwell);
        self.unknown = self.unknown + usize::from(unknown) - usize::from(was_unknown);
        self.on_trial = self.on_trial + usize::from(on_trial) - usize::from(was_on_trial);
        if was_unwell && !unwell {
            let now = Instant::now();
            member
                .gates
                .iter()
                .for_each(|gate| gate.set_well_since(now));
        }
        if member.gates.is_empty() {
            self.members.swap_remove(key);
        }
    }
}

impl<K> State<K> {
    /// Whether all endpoints are out, and requests are to fail therefore.
    fn is_closed(&self) -> bool {
        let out = self.unwell - self.unknown - self.on_trial;
        self.fail_closed && !self.panic && out > 0 && out == self.members.len()
    }

    /// Begins panic or ends it.
    fn settle(&mut self, wakes: &mut Wakes) {
        let hosts = self.members.len() - self.unknown;
        let healthy = self.members.len() - self.unwell;
        // A threshold of 100 % is not met by all being well.
        let panic = healthy < hosts && healthy * 100 < self.percent as usize * hosts;
        if panic == self.panic {
            return;
        }
        self.panic = panic;
        tracing::warn!(
            panic,
            healthy,
            endpoints = hosts,
            "the health of endpoints is ignored, or is so no more"
        );
        for gate in self.members.values().flat_map(|member| &member.gates) {
            gate.set_panic(panic, wakes);
        }
    }
}

impl Member {
    fn standing(&self) -> Option<(Standing, Instant)> {
        let badness = |(standing, since): &(Standing, Instant)| match standing {
            Standing::Well => (0, *since),
            Standing::Trial => (1, *since),
            Standing::Out(Reason::Unchecked) => (2, *since),
            Standing::Out(_) => (3, *since),
        };
        let standings = self.gates.iter().map(|gate| gate.standing());
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
            .field("unwell", &state.unwell)
            .field("panic", &state.panic)
            .finish_non_exhaustive()
    }
}
