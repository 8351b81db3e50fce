use std::fmt;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use tokio::time::Instant;
use tower_discover::{Change, Discover};

use super::driver::{Driver, Task};
use super::rule::{Endpoint, Rule, Same};
use super::{Guarded, Health, Outcome, Reason, Standing};
use crate::lock::lock;
use crate::policy::InvalidPolicy;
use crate::policy::outlier::{self, OutlierConfig, OutlierDetector};

/// A discovery whose endpoints are left out for a while when they fail more than the others; see [`outlier`].
///
/// A new service for an endpoint that is there shares its past; an endpoint that is removed and comes again has none.
///
/// # Example
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use tower_balance::health::{EjectOutliers, ErrorIsFailure};
/// use tower_balance::p2c::Balance;
/// use tower_balance::policy::outlier::OutlierConfig;
/// use tower_discover::ServiceList;
/// use tower_load::{CompleteOnResponse, PendingRequests};
/// use tower_service::Service;
/// use tower_util::{BoxError, ServiceExt, service_fn};
///
/// let endpoints = [true, true, false].map(|works| {
///     let endpoint = service_fn(move |()| async move { if works { Ok(()) } else { Err(BoxError::from("broken")) } });
///     PendingRequests::new(endpoint, CompleteOnResponse::default())
/// });
/// let config = OutlierConfig::default().consecutive(Some(3));
/// let discover = EjectOutliers::new(ServiceList::new::<()>(endpoints), config, ErrorIsFailure).unwrap();
/// let mut balance = Balance::new(discover);
///
/// let mut failed = 0;
/// for _ in 0..100 {
///     failed += u32::from(balance.ready().await.unwrap().call(()).await.is_err());
/// }
/// assert_eq!(failed, 3);
/// # }
/// ```
///
/// # Implementation notes
///
/// The detector runs when the balancer polls its discovery, by a timer of the wrapper's own: there is no task. After the
/// inner discovery has ended this one is pending, and ends when the last endpoint is gone.
pub struct EjectOutliers<D, C>
where
    D: Discover<Key: Hash + Clone + fmt::Debug>,
{
    driver: Driver<D, Outliers<D::Key>>,
    classify: C,
}

/// The rule of [`EjectOutliers`].
pub struct Outliers<K: Hash + Eq + Clone + fmt::Debug> {
    cancelled_after: Option<Duration>,
    count_silence: bool,
    detector: Mutex<OutlierDetector<Same<Self>>>,
    health: Health<K>,
    task: Task,
}

/// Lets ejected endpoints return before their time; see [`EjectOutliers::uneject`].
///
/// # Clone
///
/// A clone does the same.
pub struct Uneject<K: Hash + Eq + Clone + fmt::Debug>(Weak<Outliers<K>>);

/// The requests that wait for an endpoint. Only sweeps write what is not atomic.
///
/// The order in which another thread sees the counts does not matter: at worst a request that ends during a sweep is
/// counted as one that waits, and its end takes that back.
#[allow(unreachable_pub, unnameable_types, reason = "sealed")]
#[derive(Debug, Default)]
pub struct Waiting {
    requests: AtomicUsize,
    /// Since the last sweep.
    answered: AtomicBool,
    /// At the last sweep.
    before: AtomicUsize,
    /// How many were counted as failures since the last answer.
    counted: AtomicUsize,
    /// Whether it was ejected by that.
    silenced: AtomicBool,
}

impl<D, C> EjectOutliers<D, C>
where
    D: Discover<Key: Hash + Clone + fmt::Debug> + Unpin,
{
    /// Ejects outliers among the endpoints of `discover`, whose requests fail if `classify` says so.
    ///
    /// # Errors
    ///
    /// As for [`OutlierDetector::new`].
    pub fn new(discover: D, config: OutlierConfig, classify: C) -> Result<Self, InvalidPolicy> {
        let (cancelled_after, count_silence) = (config.cancelled_after, config.count_silence);
        let detector = OutlierDetector::new(config, Instant::now())?;
        let rule = Outliers {
            cancelled_after,
            count_silence,
            detector: Mutex::new(detector),
            health: Health::new(),
            task: Task::default(),
        };
        let driver = Driver::new(discover, rule);
        Ok(Self { driver, classify })
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

    /// A way to let ejected endpoints return before their time, for whoever learns in another way that they are well again:
    /// by a probe, or because they have been restarted.
    ///
    /// To be called after [`with_health`](Self::with_health), which has no effect later.
    pub fn uneject(&self) -> Uneject<D::Key> {
        Uneject(self.driver.downgrade_rule())
    }
}

impl<K: Hash + Eq + Clone + fmt::Debug> Uneject<K> {
    /// Lets an endpoint return. It counts as ejected once, as if its time had been over. `false` if it is not ejected.
    pub fn uneject(&self, key: &K) -> bool {
        let Some(rule) = self.0.upgrade() else {
            return false;
        };
        let mut detector = rule.lock();
        let endpoint = detector.keys().find(|it| it.0.seat.key == *key).cloned();
        let Some(endpoint) = endpoint else {
            return false;
        };
        let _changed = restore(&mut detector, &endpoint.0, Instant::now());
        let unejected = _changed.is_some();
        drop(detector);
        unejected
    }
}

impl<D, C> Stream for EjectOutliers<D, C>
where
    D: Discover<Key: Hash + Clone + fmt::Debug> + Unpin,
    C: Clone,
{
    type Item = Result<Change<D::Key, Guarded<D::Service, Outliers<D::Key>, C>>, D::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { driver, classify } = &mut *self;
        driver.poll_guarded(cx, classify)
    }
}

impl<D, C> Unpin for EjectOutliers<D, C> where D: Discover<Key: Hash + Clone + fmt::Debug> + Unpin {}

impl<K: Hash + Eq + Clone + fmt::Debug> Outliers<K> {
    fn lock(&self) -> MutexGuard<'_, OutlierDetector<Same<Self>>> {
        lock(&self.detector)
    }
}

impl<K: Hash + Eq + Clone + fmt::Debug> Rule for Outliers<K> {
    type Key = K;
    type State = Waiting;
    type Attempt = ();

    fn health(&self) -> &Health<K> {
        &self.health
    }

    fn task(&self) -> &Task {
        &self.task
    }

    fn fresh(&self) -> (Waiting, Standing) {
        (Waiting::default(), Standing::Well)
    }

    fn entered(&self, endpoint: &Arc<Endpoint<Self>>) {
        self.lock().insert(Same(Arc::clone(endpoint)));
    }

    fn left(&self, endpoint: &Arc<Endpoint<Self>>) {
        self.lock().remove(&Same(Arc::clone(endpoint)));
    }

    fn next_due(&self) -> Option<Instant> {
        let detector = self.lock();
        (!detector.is_empty()).then(|| detector.next_sweep())
    }

    fn run(&self, now: Instant) {
        let mut detector = self.lock();
        let mut changes = match self.count_silence {
            true => count_silence(&mut detector, now),
            false => Vec::new(),
        };
        changes.extend(detector.sweep(now));
        let _changed: Vec<_> = changes.iter().map(|change| apply(change, now)).collect();
        drop(detector);
    }

    fn cancelled_after(&self) -> Option<Duration> {
        self.cancelled_after
    }

    fn begin(&self, endpoint: &Arc<Endpoint<Self>>) {
        if self.count_silence {
            endpoint.state.requests.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn end(&self, endpoint: &Arc<Endpoint<Self>>, (): (), outcome: Outcome) {
        if self.count_silence {
            endpoint.state.end(outcome);
        }
        let outcome = match outcome {
            Outcome::Success => outlier::Outcome::Success,
            Outcome::Failure => outlier::Outcome::Failure,
            Outcome::Ignored => return,
        };
        let now = Instant::now();
        let mut detector = self.lock();
        if outcome == outlier::Outcome::Success
            && endpoint.state.silenced.load(Ordering::Relaxed)
            && endpoint.state.silenced.swap(false, Ordering::Relaxed)
            && let Some(_changed) = restore(&mut detector, endpoint, now)
        {
            drop(detector);
            return;
        }
        let change = detector.record(&Same(Arc::clone(endpoint)), outcome, now);
        if change.is_some() {
            // By failures, which an answer does not take back.
            endpoint.state.silenced.store(false, Ordering::Relaxed);
        }
        let _changed = change.as_ref().map(|change| apply(change, now));
        drop(detector);
    }
}

impl Waiting {
    /// A request has ended.
    fn end(&self, outcome: Outcome) {
        self.requests.fetch_sub(1, Ordering::Relaxed);
        // Most requests find it set.
        if outcome != Outcome::Ignored && !self.answered.load(Ordering::Relaxed) {
            self.answered.store(true, Ordering::Relaxed);
        }
    }

    /// An interval is over: how many requests have waited for all of it without an answer to any, and are to be counted.
    fn sweep(&self) -> usize {
        let now = self.requests.load(Ordering::Relaxed);
        let before = self.before.swap(now, Ordering::Relaxed);
        if self.answered.swap(false, Ordering::Relaxed) {
            self.counted.store(0, Ordering::Relaxed);
            return 0;
        }
        let silent = now.min(before);
        let counted = self.counted.load(Ordering::Relaxed);
        self.counted.store(counted.max(silent), Ordering::Relaxed);
        silent.saturating_sub(counted)
    }
}

/// Those that answer nothing, at the end of an interval.
fn count_silence<K: Hash + Eq + Clone + fmt::Debug>(
    detector: &mut OutlierDetector<Same<Outliers<K>>>,
    now: Instant,
) -> Vec<outlier::Change<Same<Outliers<K>>>> {
    if now < detector.next_sweep() {
        return Vec::new();
    }
    let silent = |endpoint: &Same<Outliers<K>>| (endpoint.clone(), endpoint.0.state.sweep());
    let silent: Vec<_> = detector.keys().map(silent).collect();
    let failures = silent
        .into_iter()
        .flat_map(|(endpoint, failures)| std::iter::repeat_n(endpoint, failures));
    let record = |endpoint: Same<Outliers<K>>| {
        let change = detector.record(&endpoint, outlier::Outcome::Failure, now);
        if change.is_some() {
            endpoint.0.state.silenced.store(true, Ordering::Relaxed);
        }
        change
    };
    failures.filter_map(record).collect()
}

/// Lets an endpoint return, if it is ejected.
fn restore<'a, K: Hash + Eq + Clone + fmt::Debug>(
    detector: &mut OutlierDetector<Same<Outliers<K>>>,
    endpoint: &'a Arc<Endpoint<Outliers<K>>>,
    now: Instant,
) -> Option<super::shared::Changed<'a, K>> {
    let restored = detector.restore(&Same(Arc::clone(endpoint)));
    restored.then(|| endpoint.seat.set(Standing::Well, now))
}

impl<D, C> fmt::Debug for EjectOutliers<D, C>
where
    D: Discover<Key: Hash + Clone + fmt::Debug> + fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EjectOutliers").field(&self.driver).finish()
    }
}

impl<K: Hash + Eq + Clone + fmt::Debug> Clone for Uneject<K> {
    fn clone(&self) -> Self {
        Self(Weak::clone(&self.0))
    }
}

impl<K: Hash + Eq + Clone + fmt::Debug> fmt::Debug for Uneject<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Uneject").finish_non_exhaustive()
    }
}

impl<K: Hash + Eq + Clone + fmt::Debug> fmt::Debug for Outliers<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detector = self.lock();
        f.debug_struct("Outliers")
            .field("endpoints", &detector.len())
            .field("ejected", &detector.ejected())
            .finish_non_exhaustive()
    }
}

/// Under the detector's lock, that the last change of an endpoint has the last word.
fn apply<K: Hash + Eq + Clone + fmt::Debug>(
    change: &outlier::Change<Same<Outliers<K>>>,
    now: Instant,
) -> super::shared::Changed<'_, K> {
    match change {
        outlier::Change::Ejected(Same(endpoint), cause) => {
            let standing = Standing::Out(Reason::Outlier(*cause));
            endpoint.seat.set(standing, now)
        }
        outlier::Change::Returned(Same(endpoint)) => endpoint.seat.set(Standing::Well, now),
    }
}
