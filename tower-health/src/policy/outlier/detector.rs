use std::borrow::Borrow;
use std::hash::Hash;

use indexmap::IndexMap;
use tokio::time::Instant;
use tower_classify::Class;

use super::{Bounds, OutlierConfig};
use crate::policy::InvalidPolicy;

/// Detects outliers among endpoints identified by keys; see the [module](super).
///
/// # Cost
///
/// Recording a request takes a hash look-up; a sweep sorts the endpoints by success rate.
#[derive(Debug, Clone)]
pub struct OutlierDetector<K> {
    config: OutlierConfig,
    endpoints: IndexMap<K, Endpoint>,
    ejected: usize,
    swept: Instant,
}

/// A change of the endpoints that may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<K> {
    /// The endpoint must not receive new requests. Requests in flight may continue.
    Ejected(K, Cause),
    /// The endpoint may be used again.
    Returned(K),
}

/// Why an endpoint was ejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Too many consecutive failures.
    Consecutive,
    /// A lower success rate than the others.
    SuccessRate,
    /// Too many failed requests.
    FailurePercentage,
}

impl<K: Hash + Eq + Clone> OutlierDetector<K> {
    /// Creates a detector without endpoints. The first sweep is due an interval after `now`.
    ///
    /// # Errors
    ///
    /// If the interval is zero, a percentage exceeds 100, the number of consecutive failures is 0, or the factor of the
    /// deviation is negative or not finite.
    pub fn new(config: OutlierConfig, now: Instant) -> Result<Self, InvalidPolicy> {
        config.validate()?;
        Ok(Self {
            config,
            endpoints: IndexMap::new(),
            ejected: 0,
            swept: now,
        })
    }

    /// Adds an endpoint without a history. An existing one is unchanged.
    pub fn insert(&mut self, key: K) {
        self.endpoints.entry(key).or_default();
    }

    /// Removes an endpoint. Returns `false` if it does not exist.
    pub fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        let removed = self.endpoints.swap_remove(key);
        self.ejected -= usize::from(removed.as_ref().is_some_and(Endpoint::is_ejected));
        removed.is_some()
    }

    /// Records the result of a request. [`Unsent`](Class::Unsent) counts as a failure, and [`Ignored`](Class::Ignored)
    /// does not count. Returns a change if this failure ejects the endpoint.
    ///
    /// Does nothing if the endpoint does not exist, or is already ejected.
    pub fn record<Q: Hash + Eq + ?Sized>(
        &mut self,
        key: &Q,
        class: Class,
        now: Instant,
    ) -> Option<Change<K>>
    where
        K: Borrow<Q>,
    {
        let (index, _, endpoint) = self.endpoints.get_full_mut(key)?;
        if endpoint.is_ejected() {
            return None;
        }
        endpoint.record(class);
        let too_many = self
            .config
            .consecutive
            .is_some_and(|most| endpoint.in_a_row >= most);
        if too_many {
            self.eject(index, Cause::Consecutive, now)
        } else {
            None
        }
    }

    /// Records a number of successes, like that many calls of [`record`](Self::record).
    pub fn record_successes<Q: Hash + Eq + ?Sized>(&mut self, key: &Q, successes: u64)
    where
        K: Borrow<Q>,
    {
        if let Some(endpoint) = self.endpoints.get_mut(key) {
            endpoint.succeed(successes);
        }
    }

    /// Records `successes` of each endpoint: see [`record_successes`](Self::record_successes).
    pub(crate) fn record_all(&mut self, successes: impl Fn(&K) -> u64) {
        for (key, endpoint) in &mut self.endpoints {
            endpoint.succeed(successes(key));
        }
    }

    /// Returns when the next sweep is due.
    pub fn next_sweep(&self) -> Instant {
        // If the clock cannot represent the time, there is no sweep for a year.
        let far = || self.swept + FAR;
        self.swept
            .checked_add(self.config.interval)
            .unwrap_or_else(far)
    }

    /// Ejects the outliers of the interval, returns endpoints whose ejection time has passed, and starts a new
    /// interval. Does nothing before a sweep is due.
    pub fn sweep(&mut self, now: Instant) -> Vec<Change<K>> {
        if now < self.next_sweep() {
            return Vec::new();
        }
        let intervals = (now - self.swept).as_nanos() / self.config.interval.as_nanos();
        self.swept = now;
        let mut changes = Vec::new();
        self.compare_successes(now, &mut changes);
        self.bound_failures(now, &mut changes);
        for (key, endpoint) in &mut self.endpoints {
            if endpoint.end_interval(&self.config, intervals, now) {
                self.ejected -= 1;
                changes.push(Change::Returned(key.clone()));
            }
        }
        changes
    }

    /// Returns an ejected endpoint early, for example because a probe has succeeded. Returns `false` if it is not
    /// ejected.
    pub fn restore<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        let restored = self.endpoints.get_mut(key).is_some_and(Endpoint::restore);
        self.ejected -= usize::from(restored);
        restored
    }

    /// Changes the configuration, keeping counts and ejections. If it has no rule, all ejected endpoints are returned,
    /// and all histories are cleared.
    ///
    /// The next sweep is due a new interval after the last one, which may be now.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new); nothing is changed then.
    pub fn set_config(&mut self, config: OutlierConfig) -> Result<Vec<Change<K>>, InvalidPolicy> {
        config.validate()?;
        self.config = config;
        if self.config.is_active() {
            return Ok(Vec::new());
        }
        self.ejected = 0;
        let was_ejected = |(key, endpoint): (&K, &mut Endpoint)| {
            let old = std::mem::take(endpoint);
            old.is_ejected().then(|| Change::Returned(key.clone()))
        };
        Ok(self.endpoints.iter_mut().filter_map(was_ejected).collect())
    }

    /// Returns whether an endpoint is ejected; `false` if it does not exist.
    pub fn is_ejected<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.endpoints.get(key).is_some_and(Endpoint::is_ejected)
    }

    /// Iterates over the endpoints, including ejected ones.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.endpoints.keys()
    }

    /// Returns the number of ejected endpoints.
    pub fn ejected(&self) -> usize {
        self.ejected
    }

    /// Returns the number of endpoints, including ejected ones.
    pub fn len(&self) -> usize {
        self.endpoints.len()
    }

    /// Returns whether there are no endpoints.
    pub fn is_empty(&self) -> bool {
        self.endpoints.is_empty()
    }

    fn compare_successes(&mut self, now: Instant, changes: &mut Vec<Change<K>>) {
        let Some(rule) = self.config.success_rate else {
            return;
        };
        let judged = self.judged(rule.min_requests);
        if judged.len() < rule.min_endpoints {
            return;
        }
        let mut rates: Vec<_> = judged.iter().map(|(_, rate)| *rate).collect();
        let threshold = rule.statistic.threshold(&mut rates);
        let outliers = judged.into_iter().take_while(|(_, rate)| *rate < threshold);
        changes.extend(outliers.filter_map(|(i, _)| self.eject(i, Cause::SuccessRate, now)));
    }

    fn bound_failures(&mut self, now: Instant, changes: &mut Vec<Change<K>>) {
        let Some(rule) = self.config.failure_percentage else {
            return;
        };
        let judged = self.judged(rule.min_requests);
        if judged.len() < rule.min_endpoints {
            return;
        }
        for (i, _) in judged {
            let endpoint = &self.endpoints[i];
            let failed = u128::from(endpoint.failures) * 100;
            let bound = u128::from(endpoint.requests()) * u128::from(rule.threshold);
            let too_many = match self.config.bounds {
                Bounds::Envoy => failed >= bound,
                Bounds::Grpc => failed > bound,
            };
            if too_many {
                changes.extend(self.eject(i, Cause::FailurePercentage, now));
            }
        }
    }

    /// The endpoints that are not ejected and had enough requests, with their success rates, the lowest first.
    fn judged(&self, min_requests: u64) -> Vec<(usize, f64)> {
        let mut judged: Vec<_> = self
            .endpoints
            .values()
            .enumerate()
            .filter(|(_, endpoint)| {
                !endpoint.is_ejected() && endpoint.requests() >= min_requests.max(1)
            })
            .map(|(i, endpoint)| (i, endpoint.successes as f64 / endpoint.requests() as f64))
            .collect();
        judged.sort_by(|(_, a), (_, b)| a.total_cmp(b));
        judged
    }

    /// Ejects the endpoint, if the limit allows it.
    fn eject(&mut self, index: usize, cause: Cause, now: Instant) -> Option<Change<K>> {
        let max = self.config.max_percent as usize;
        let allowed = match self.config.bounds {
            _ if self.ejected == 0 => max > 0,
            Bounds::Envoy => (self.ejected + 1) * 100 <= max * self.endpoints.len(),
            Bounds::Grpc => self.ejected * 100 < max * self.endpoints.len(),
        };
        if !allowed {
            return None;
        }
        let (key, endpoint) = self.endpoints.get_index_mut(index)?;
        endpoint.eject(&self.config, now);
        self.ejected += 1;
        Some(Change::Ejected(key.clone(), cause))
    }
}

#[derive(Debug, Clone, Default)]
struct Endpoint {
    successes: u64,
    failures: u64,
    in_a_row: u32,
    ejected_at: Option<Instant>,
    /// The multiplier of the ejection time: of the current ejection, or one less than that of the next.
    multiplier: u32,
}

impl Endpoint {
    fn is_ejected(&self) -> bool {
        self.ejected_at.is_some()
    }

    fn requests(&self) -> u64 {
        self.successes.saturating_add(self.failures)
    }

    fn record(&mut self, class: Class) {
        if class.is_success() {
            self.succeed(1);
        } else if class.is_failure() {
            self.failures = self.failures.saturating_add(1);
            self.in_a_row = self.in_a_row.saturating_add(1);
        }
    }

    fn succeed(&mut self, times: u64) {
        if times > 0 && !self.is_ejected() {
            self.successes = self.successes.saturating_add(times);
            self.in_a_row = 0;
        }
    }

    fn eject(&mut self, config: &OutlierConfig, now: Instant) {
        self.ejected_at = Some(now);
        if self.multiplier == 0 || config.base.saturating_mul(self.multiplier) < config.max {
            self.multiplier = self.multiplier.saturating_add(1);
        }
    }

    fn restore(&mut self) -> bool {
        self.in_a_row = 0;
        (self.successes, self.failures) = (0, 0);
        self.ejected_at.take().is_some()
    }

    /// Returns whether the endpoint is returned.
    fn end_interval(&mut self, config: &OutlierConfig, intervals: u128, now: Instant) -> bool {
        (self.successes, self.failures) = (0, 0);
        let Some(ejected_at) = self.ejected_at else {
            let intervals = u32::try_from(intervals).unwrap_or(u32::MAX);
            self.multiplier = self.multiplier.saturating_sub(intervals);
            return false;
        };
        let longest = config.base.max(config.max);
        let time = config.base.saturating_mul(self.multiplier).min(longest);
        now.saturating_duration_since(ejected_at) >= time && self.restore()
    }
}

/// A year: in place of a duration whose sum with the time cannot be represented.
const FAR: std::time::Duration = std::time::Duration::from_secs(365 * 24 * 3600);
