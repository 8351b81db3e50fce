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
use tower_util::rng::{Rng, SplitMix};

use super::attempts::Attempts;
use super::driver::Driver;
use super::health::Changed;
use super::rule::{Endpoint, Rule};
use super::task::Task;
use super::{Guarded, Health, Reason, Standing};
use crate::lock::lock;
use crate::policy::InvalidPolicy;
use crate::policy::accrual::{AccrualConfig, Attempt, FailureAccrual, Status};

/// A discovery whose endpoints are each left out for a while after too many failures of their own, and then tried with one
/// request; see [`accrual`](crate::policy::accrual).
///
/// Other than for [`EjectOutliers`](super::EjectOutliers) it does not matter how the others do. A new service for an
/// endpoint that is there shares its past; an endpoint that is removed and comes again has none.
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
    /// To be cloned for each endpoint.
    alive: FailureAccrual,
    dead: Mutex<Dead<K>>,
    rng: Mutex<Box<dyn Rng + Send>>,
    health: Health<K>,
    task: Task,
}

/// Those that are dead, and when each may be tried.
type Dead<K> = Vec<(Instant, Weak<Endpoint<Accrual<K>>>)>;

impl<D, C> AccrueFailures<D, C>
where
    D: Discover<Key: Hash + Clone + fmt::Debug> + Unpin,
{
    /// Looks at the requests to each endpoint of `discover`, which fail if `classify` says so.
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

    /// Draws the jitter of the waits from your own randomness.
    ///
    /// To be called before the first endpoint is known; later it has no effect.
    #[must_use]
    pub fn with_rng(mut self, rng: impl Rng + Send + 'static) -> Self {
        if let Some(rule) = self.driver.rule_mut() {
            rule.rng = Mutex::new(Box::new(rng));
        }
        self
    }

    /// Shares the health with other wrappers of the same endpoints. By default it has its own.
    ///
    /// To be called before the first endpoint is known; later it has no effect.
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
    /// The gate follows the status, under its lock, that the last change has the last word.
    fn follow<'a>(
        endpoint: &'a Endpoint<Self>,
        accrual: &FailureAccrual,
        now: Instant,
    ) -> Changed<'a, K> {
        let standing = match accrual.status(now) {
            Status::Alive => Standing::Well,
            Status::ProbeOpen => Standing::Trial,
            Status::Dead { .. } | Status::ProbeClosed => Standing::Out(Reason::Dead),
        };
        endpoint.seat.set(standing, now)
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
        (attempts, Standing::Well)
    }

    fn left(&self, endpoint: &Arc<Endpoint<Self>>) {
        let is_it = |dead: &Weak<_>| std::ptr::eq(dead.as_ptr(), Arc::as_ptr(endpoint));
        lock(&self.dead).retain(|(_, dead)| !is_it(dead));
    }

    fn next_due(&self) -> Option<Instant> {
        lock(&self.dead).iter().map(|(until, _)| *until).min()
    }

    fn run(&self, now: Instant) {
        let mut due = Vec::new();
        lock(&self.dead).retain(|(until, endpoint)| {
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
        // That is how the gate stands.
        if was_alive {
            return attempt;
        }
        let _changed = Self::follow(endpoint, &accrual, now);
        drop(accrual);
        attempt
    }

    fn end(&self, endpoint: &Arc<Endpoint<Self>>, attempt: Attempt, class: Class) {
        let now = Instant::now();
        if endpoint.state.end(&attempt, class, now) {
            return;
        }
        let mut accrual = endpoint.state.lock();
        let before = accrual.status(now);
        accrual.end(attempt, class, now, &mut Shared(&self.rng));
        let after = accrual.status(now);
        if [before, after] == [Status::Alive; 2] {
            return;
        }
        let _changed = Self::follow(endpoint, &accrual, now);
        drop(accrual);
        if let Status::Dead { until } = after
            && after != before
        {
            lock(&self.dead).push((until, Arc::downgrade(endpoint)));
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
            .field("dead", &lock(&self.dead).len())
            .finish_non_exhaustive()
    }
}

/// Locked only for a draw, which most requests do without.
struct Shared<'a>(&'a Mutex<Box<dyn Rng + Send>>);

impl Rng for Shared<'_> {
    fn next_u64(&mut self) -> u64 {
        lock(self.0).next_u64()
    }
}
