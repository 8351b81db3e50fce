use std::fmt;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use tokio::time::Instant;
use tower_classify::{Class, FailureKind};
use tower_discover::{Change, Discover};
use tower_readiness::ignore_poison;

use super::driver::Driver;
use super::outlier_counters::OutlierCounters;
use super::rule::{ByIdentity, Endpoint, Rule, charged};
use super::task::Task;
use super::{Guarded, Health, Reason, Standing};
use crate::policy::InvalidPolicy;
use crate::policy::outlier::{self, OutlierConfig, OutlierDetector};

/// A [`Discover`] that ejects endpoints that fail more than the others, for some time; see [`outlier`].
///
/// If an endpoint is inserted again while it exists, the new service shares its history. An endpoint that is removed
/// and added again has no history.
///
/// # Example
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use tower_health::{EjectOutliers, ErrorIsFailure};
/// use tower_balance::p2c::Balance;
/// use tower_health::policy::outlier::OutlierConfig;
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
/// The detector runs when the balancer polls the `Discover`, by a timer of the wrapper; there is no task. After the
/// inner `Discover` has ended, the wrapper stays pending, and ends when the last endpoint is dropped.
///
/// A success only increments a counter of its endpoint. The detector records the counted successes before the next
/// failure of the endpoint and before the next sweep. The decisions are the same, but a success neither locks the
/// detector nor reads the clock.
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
    detector: Mutex<OutlierDetector<ByIdentity<Self>>>,
    health: Health<K>,
    task: Task,
}

/// Returns ejected endpoints early; created by [`EjectOutliers::uneject`].
///
/// # Clone
///
/// Clones refer to the same endpoints.
pub struct Uneject<K: Hash + Eq + Clone + fmt::Debug>(Weak<Outliers<K>>);

impl<D, C> EjectOutliers<D, C>
where
    D: Discover<Key: Hash + Clone + fmt::Debug> + Unpin,
{
    /// Ejects outliers among the endpoints of `discover`. `classify` decides which results are failures.
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

    /// Returns a handle that can return ejected endpoints early, for example because a probe of your own has succeeded,
    /// or because the endpoint was restarted.
    ///
    /// Call it after [`with_health`](Self::with_health), which has no effect later.
    pub fn uneject(&self) -> Uneject<D::Key> {
        Uneject(self.driver.downgrade_rule())
    }
}

impl<K: Hash + Eq + Clone + fmt::Debug> Uneject<K> {
    /// Returns an endpoint, as if its ejection time had passed: the next ejection is longer nevertheless. Returns
    /// `false` if the endpoint is not ejected.
    pub fn uneject(&self, key: &K) -> bool {
        let Some(rule) = self.0.upgrade() else {
            return false;
        };
        let mut detector = rule.lock();
        let endpoint = detector
            .keys()
            .find(|it| it.0.membership.key == *key)
            .cloned();
        let Some(endpoint) = endpoint else {
            return false;
        };
        let changed = restore(&mut detector, &endpoint.0, Instant::now());
        drop(detector);
        changed.is_some()
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
    fn lock(&self) -> MutexGuard<'_, OutlierDetector<ByIdentity<Self>>> {
        ignore_poison(self.detector.lock())
    }
}

impl<K: Hash + Eq + Clone + fmt::Debug> Rule for Outliers<K> {
    type Key = K;
    type State = OutlierCounters;
    type Attempt = ();

    fn health(&self) -> &Health<K> {
        &self.health
    }

    fn task(&self) -> &Task {
        &self.task
    }

    fn fresh(&self) -> (OutlierCounters, Standing) {
        (OutlierCounters::default(), Standing::Healthy)
    }

    fn entered(&self, endpoint: &Arc<Endpoint<Self>>) {
        self.lock().insert(ByIdentity(Arc::clone(endpoint)));
    }

    fn left(&self, endpoint: &Arc<Endpoint<Self>>) {
        self.lock().remove(&ByIdentity(Arc::clone(endpoint)));
    }

    fn next_due(&self) -> Option<Instant> {
        let detector = self.lock();
        (!detector.is_empty()).then(|| detector.next_sweep())
    }

    fn run(&self, now: Instant) {
        let mut detector = self.lock();
        detector.record_all(|ByIdentity(endpoint)| endpoint.state.take());
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
            endpoint.state.wait();
        }
    }

    fn end(&self, endpoint: &Arc<Endpoint<Self>>, (): (), class: Class) {
        // A rejection is an answer, so the endpoint is not silent.
        let answers_again = endpoint.state.end(class, self.count_silence);
        let class = charged(class);
        if class.is_failure() {
            self.fail(endpoint, class);
        } else if answers_again {
            self.return_silent(endpoint);
        }
    }
}

impl<K: Hash + Eq + Clone + fmt::Debug> Outliers<K> {
    /// Returns an endpoint that was ejected for silence, because it has succeeded.
    #[cold]
    fn return_silent(&self, endpoint: &Arc<Endpoint<Self>>) {
        let now = Instant::now();
        let mut detector = self.lock();
        let same = ByIdentity(Arc::clone(endpoint));
        detector.record_successes(&same, endpoint.state.take());
        if endpoint.state.clear_silent() {
            let _changed = restore(&mut detector, endpoint, now);
            drop(detector);
        }
    }

    fn fail(&self, endpoint: &Arc<Endpoint<Self>>, class: Class) {
        let now = Instant::now();
        let mut detector = self.lock();
        let same = ByIdentity(Arc::clone(endpoint));
        detector.record_successes(&same, endpoint.state.take());
        let change = detector.record(&same, class, now);
        if change.is_some() {
            // Ejected for failures: a later success does not undo that.
            endpoint.state.clear_silent();
        }
        let _changed = change.as_ref().map(|change| apply(change, now));
        drop(detector);
    }
}

/// Counts failures of the endpoints that were silent for an interval, and returns the ejections.
fn count_silence<K: Hash + Eq + Clone + fmt::Debug>(
    detector: &mut OutlierDetector<ByIdentity<Outliers<K>>>,
    now: Instant,
) -> Vec<outlier::Change<ByIdentity<Outliers<K>>>> {
    if now < detector.next_sweep() {
        return Vec::new();
    }
    let silent = |endpoint: &ByIdentity<Outliers<K>>| (endpoint.clone(), endpoint.0.state.sweep());
    let silent: Vec<_> = detector.keys().map(silent).collect();
    let mut changes = Vec::new();
    for (endpoint, failures) in silent {
        let mut record = |_| detector.record(&endpoint, SILENT, now);
        let Some(change) = (0..failures).find_map(&mut record) else {
            continue;
        };
        if endpoint.0.state.mark_silent() {
            changes.push(change);
        } else {
            detector.restore(&endpoint);
        }
    }
    changes
}

/// The class of a request that was in flight for a whole interval in which its endpoint answered none.
const SILENT: Class = Class::failure(FailureKind::Timeout);

/// Returns an endpoint, if it is ejected.
fn restore<'a, K: Hash + Eq + Clone + fmt::Debug>(
    detector: &mut OutlierDetector<ByIdentity<Outliers<K>>>,
    endpoint: &'a Arc<Endpoint<Outliers<K>>>,
    now: Instant,
) -> Option<super::health::Changed<'a, K>> {
    let restored = detector.restore(&ByIdentity(Arc::clone(endpoint)));
    restored.then(|| endpoint.membership.set(Standing::Healthy, now))
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

/// Must be called with the detector locked, so that the changes of an endpoint are applied in order.
fn apply<K: Hash + Eq + Clone + fmt::Debug>(
    change: &outlier::Change<ByIdentity<Outliers<K>>>,
    now: Instant,
) -> super::health::Changed<'_, K> {
    match change {
        outlier::Change::Ejected(ByIdentity(endpoint), cause) => {
            let standing = Standing::Ejected(Reason::Outlier(*cause));
            endpoint.membership.set(standing, now)
        }
        outlier::Change::Returned(ByIdentity(endpoint)) => {
            endpoint.membership.set(Standing::Healthy, now)
        }
    }
}
