use std::fmt;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use tokio::time::Instant;
use tower_classify::Class;
use tower_discover::{Change, Discover};
use tower_readiness::ignore_poison;
use tower_util::rng::{Rng, SplitMix};

use super::attempts::Attempts;
use super::driver::Driver;
use super::health::Changed;
use super::rule::{Endpoint, Rule, charged};
use super::task::Task;
use super::{Guarded, Health, Reason, Standing};
use crate::policy::InvalidPolicy;
use crate::policy::accrual::{AccrualConfig, Attempt, FailureAccrual, Status};

/// A [`Discover`] that ejects each endpoint after too many failures of its own, and probes it after some time with one
/// request; see [`accrual`](crate::policy::accrual).
///
/// Unlike [`EjectOutliers`](super::EjectOutliers), it does not compare endpoints with each other. If an endpoint is
/// inserted again while it exists, the new service shares its history. An endpoint that is removed and added again has
/// no history.
///
/// # Example
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use tower_health::{AccrueFailures, ErrorIsFailure};
/// use tower_balance::p2c::Balance;
/// use tower_health::policy::accrual::AccrualConfig;
/// use tower_discover::ServiceList;
/// use tower_load::{CompleteOnResponse, PendingRequests};
/// use tower_service::Service;
/// use tower_util::{BoxError, ServiceExt, service_fn};
///
/// let endpoints = [true, true, false].map(|works| {
///     let endpoint = service_fn(move |()| async move { if works { Ok(()) } else { Err(BoxError::from("broken")) } });
///     PendingRequests::new(endpoint, CompleteOnResponse::default())
/// });
/// let list = ServiceList::new::<()>(endpoints);
/// let discover = AccrueFailures::new(list, AccrualConfig::default(), ErrorIsFailure).unwrap();
/// let mut balance = Balance::new(discover);
///
/// let mut failed = 0;
/// for _ in 0..100 {
///     failed += u32::from(balance.ready().await.unwrap().call(()).await.is_err());
/// }
/// assert_eq!(failed, 5);
/// # }
/// ```
pub struct AccrueFailures<D, C>
where
    D: Discover<Key: Hash + Clone + fmt::Debug>,
{
    driver: Driver<D, Accrual<D::Key>>,
    classify: C,
}

/// The rule of [`AccrueFailures`].
pub struct Accrual<K: Hash + Eq + Clone + fmt::Debug> {
    cancelled_after: Option<Duration>,
    /// Cloned for each endpoint.
    alive: FailureAccrual,
    dead: Mutex<Dead<K>>,
    rng: Mutex<Box<dyn Rng + Send>>,
    health: Health<K>,
    task: Task,
}

/// The dead endpoints, and when each may be probed.
type Dead<K> = Vec<(Instant, Weak<Endpoint<Accrual<K>>>)>;

impl<D, C> AccrueFailures<D, C>
where
    D: Discover<Key: Hash + Clone + fmt::Debug> + Unpin,
{
    /// Ejects endpoints of `discover` by their failures. `classify` decides which results are failures.
    ///
    /// # Errors
    ///
    /// As for [`FailureAccrual::new`].
    pub fn new(discover: D, config: AccrualConfig, classify: C) -> Result<Self, InvalidPolicy> {
        let rule = Accrual {
            cancelled_after: config.cancelled_after,
            alive: FailureAccrual::new(config)?,
            dead: Mutex::default(),
            rng: Mutex::new(Box::new(SplitMix::new())),
            health: Health::new(),
            task: Task::default(),
        };
        let driver = Driver::new(discover, rule);
        Ok(Self { driver, classify })
    }

    /// Sets the random number generator for the jitter of the waits. By default it is seeded randomly.
    ///
    /// Call it before the first endpoint is added; later it has no effect.
    #[must_use]
    pub fn with_rng(mut self, rng: impl Rng + Send + 'static) -> Self {
        if let Some(rule) = self.driver.rule_mut() {
            rule.rng = Mutex::new(Box::new(rng));
        }
        self
    }

    /// Sets the health that is shared with other wrappers of the same endpoints. By default the wrapper has its own.
    ///
    /// Call it before the first endpoint is added; later it has no effect.
    #[must_use]
    pub fn with_health(mut self, health: Health<D::Key>) -> Self {
        if let Some(rule) = self.driver.rule_mut() {
            rule.health = health;
        }
        self
    }
}

impl<D, C> Stream for AccrueFailures<D, C>
where
    D: Discover<Key: Hash + Clone + fmt::Debug> + Unpin,
    C: Clone,
{
    type Item = Result<Change<D::Key, Guarded<D::Service, Accrual<D::Key>, C>>, D::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { driver, classify } = &mut *self;
        driver.poll_guarded(cx, classify)
    }
}

impl<D, C> Unpin for AccrueFailures<D, C> where D: Discover<Key: Hash + Clone + fmt::Debug> + Unpin {}

impl<K: Hash + Eq + Clone + fmt::Debug> Accrual<K> {
    /// Sets the standing that corresponds to the status. Must be called with the accrual locked, so that the changes of
    /// an endpoint are applied in order.
    fn follow<'a>(
        endpoint: &'a Endpoint<Self>,
        accrual: &FailureAccrual,
        now: Instant,
    ) -> Changed<'a, K> {
        let standing = match accrual.status(now) {
            Status::Alive => Standing::Healthy,
            Status::ProbeOpen => Standing::Probing,
            Status::Dead { .. } | Status::ProbeClosed => Standing::Ejected(Reason::Dead),
        };
        endpoint.membership.set(standing, now)
    }
}

impl<K: Hash + Eq + Clone + fmt::Debug> Rule for Accrual<K> {
    type Key = K;
    type State = Attempts;
    type Attempt = Attempt;

    fn health(&self) -> &Health<K> {
        &self.health
    }

    fn task(&self) -> &Task {
        &self.task
    }

    fn fresh(&self) -> (Self::State, Standing) {
        let attempts = Attempts::new(self.alive.clone(), Instant::now());
        (attempts, Standing::Healthy)
    }

    fn left(&self, endpoint: &Arc<Endpoint<Self>>) {
        let is_it = |dead: &Weak<_>| std::ptr::eq(dead.as_ptr(), Arc::as_ptr(endpoint));
        ignore_poison(self.dead.lock()).retain(|(_, dead)| !is_it(dead));
    }

    fn next_due(&self) -> Option<Instant> {
        ignore_poison(self.dead.lock())
            .iter()
            .map(|(until, _)| *until)
            .min()
    }

    fn run(&self, now: Instant) {
        let mut due = Vec::new();
        ignore_poison(self.dead.lock()).retain(|(until, endpoint)| {
            let is_due = *until <= now;
            if is_due {
                due.extend(endpoint.upgrade());
            }
            !is_due
        });
        for endpoint in &due {
            let accrual = endpoint.state.lock();
            // ## Dead => ProbeOpen
            let _changed = Self::follow(endpoint, &accrual, now);
            drop(accrual);
        }
    }

    fn cancelled_after(&self) -> Option<Duration> {
        self.cancelled_after
    }

    fn begin(&self, endpoint: &Arc<Endpoint<Self>>) -> Attempt {
        if let Some(attempt) = endpoint.state.begin() {
            return attempt;
        }
        let now = Instant::now();
        let mut accrual = endpoint.state.lock();
        let was_alive = accrual.status(now) == Status::Alive;
        let attempt = accrual.begin(now);
        // The standing is up to date.
        if was_alive {
            return attempt;
        }
        let _changed = Self::follow(endpoint, &accrual, now);
        drop(accrual);
        attempt
    }

    fn end(&self, endpoint: &Arc<Endpoint<Self>>, attempt: Attempt, class: Class) {
        let class = charged(class);
        let now = Instant::now();
        if endpoint.state.end(&attempt, class, now) {
            return;
        }
        let mut accrual = endpoint.state.lock();
        let before = accrual.status(now);
        accrual.end(attempt, class, now, &mut LockedRng(&self.rng));
        let after = accrual.status(now);
        if [before, after] == [Status::Alive; 2] {
            return;
        }
        let _changed = Self::follow(endpoint, &accrual, now);
        drop(accrual);
        if let Status::Dead { until } = after
            && after != before
        {
            ignore_poison(self.dead.lock()).push((until, Arc::downgrade(endpoint)));
            self.task.wake();
        }
    }
}

impl<D, C> fmt::Debug for AccrueFailures<D, C>
where
    D: Discover<Key: Hash + Clone + fmt::Debug> + fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AccrueFailures").field(&self.driver).finish()
    }
}

impl<K: Hash + Eq + Clone + fmt::Debug> fmt::Debug for Accrual<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accrual")
            .field("dead", &ignore_poison(self.dead.lock()).len())
            .finish_non_exhaustive()
    }
}

/// Locks the generator for each number only, which most requests do not draw.
struct LockedRng<'a>(&'a Mutex<Box<dyn Rng + Send>>);

impl Rng for LockedRng<'_> {
    fn next_u64(&mut self) -> u64 {
        ignore_poison(self.0.lock()).next_u64()
    }
}
