use std::time::Duration;

use tokio::time::Instant;
use tower_util::rng::Rng;

use super::PrequalConfig;
use super::seen::Seen;
use crate::policy::InvalidPolicy;

/// A pool of probe results, from which endpoints are picked: see the [module](super).
///
/// # Cost
///
/// A pick examines each result in the pool at most three times.
#[derive(Debug, Clone)]
pub struct Prequal {
    config: PrequalConfig,
    endpoints: usize,
    /// The results, oldest first, one per endpoint.
    pool: Vec<PoolEntry>,
    seen: Seen,
    /// The fraction of a probe that is left over from the last request.
    probes_due: f64,
    /// The last endpoints to probe.
    targets: Vec<usize>,
    /// The fraction of a removal that is left over from the last request.
    removals_due: f64,
    /// Whether to remove the worst result next, rather than the oldest.
    worst_next: bool,
}

/// The result of a probe.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Report {
    /// The number of the endpoint that was probed.
    pub endpoint: usize,
    /// Its number of requests in flight.
    pub rif: u32,
    /// The latency of its requests, at about this number in flight.
    pub latency: Duration,
    /// The share of its requests that fail, from 0.0 to 1.0, as reported or measured; NaN counts as 0.0.
    pub failing: f64,
}

#[derive(Debug, Clone)]
struct PoolEntry {
    endpoint: usize,
    rif: u32,
    latency: Duration,
    at: Instant,
    uses: u32,
}

impl Prequal {
    /// Creates a pool for endpoints 0 to `endpoints - 1`.
    ///
    /// # Errors
    ///
    /// If the pool size is less than 2, the maximum age is zero, a rate or the delta is not from 0 to 100, or the
    /// quantile is not from 0 to 1.
    pub fn new(config: PrequalConfig, endpoints: usize) -> Result<Self, InvalidPolicy> {
        config.validate()?;
        Ok(Self {
            config,
            endpoints,
            pool: Vec::new(),
            seen: Seen::default(),
            probes_due: 0.0,
            targets: Vec::new(),
            removals_due: 0.0,
            worst_next: false,
        })
    }

    /// Changes the number of endpoints. Results of endpoints that do not exist anymore are removed.
    pub fn set_endpoints(&mut self, endpoints: usize) {
        self.endpoints = endpoints;
        self.pool.retain(|entry| entry.endpoint < endpoints);
    }

    /// Removes the result of an endpoint, because it is not ready or was replaced.
    pub fn forget(&mut self, endpoint: usize) {
        self.pool.retain(|entry| entry.endpoint != endpoint);
    }

    /// Returns the endpoints to probe with a request. They are all different, drawn at random and in random order.
    pub fn probes<R: Rng + ?Sized>(&mut self, rng: &mut R) -> &[usize] {
        self.probes_due += self.config.probes;
        let due = self.probes_due as usize;
        self.probes_due -= due as f64;

        let targets = &mut self.targets;
        targets.clear();
        // Floyd's sampling.
        for last in self.endpoints - due.min(self.endpoints)..self.endpoints {
            let target = rng.next_range(0..last as u64 + 1) as usize;
            let target = if targets.contains(&target) {
                last
            } else {
                target
            };
            // In random order, because the first of equal results is picked or removed.
            let position = rng.next_range(0..targets.len() as u64 + 1) as usize;
            targets.insert(position, target);
        }
        targets
    }

    /// Adds the result of a probe. It replaces an older one of the same endpoint, or the oldest if the pool is full.
    pub fn report<R: Rng + ?Sized>(&mut self, report: Report, now: Instant, rng: &mut R) {
        if report.endpoint >= self.endpoints {
            return;
        }
        self.seen.add(report.rif);
        self.forget(report.endpoint);
        if self.pool.len() == self.config.pool {
            self.pool.remove(0);
        }
        let (rif, latency) = self.penalized(report);
        let uses = self.config.uses(self.endpoints) + rng.next_f64();
        self.pool.push(PoolEntry {
            endpoint: report.endpoint,
            rif,
            latency,
            at: now,
            uses: uses as u32,
        });
    }

    /// Picks the endpoint of a request: the best in the pool, or a random one if there are fewer than two results.
    /// Returns `None` if there are no endpoints.
    pub fn pick<R: Rng + ?Sized>(&mut self, now: Instant, rng: &mut R) -> Option<usize> {
        self.pool
            .retain(|entry| now.saturating_duration_since(entry.at) <= self.config.max_age);
        if self.pool.len() < MIN_POOL {
            return (self.endpoints > 0).then(|| rng.next_range(0..self.endpoints as u64) as usize);
        }
        let hot = self.hot();
        let (best, _) = self
            .pool
            .iter()
            .enumerate()
            .min_by_key(|(_, a)| a.rank(hot))?;
        let entry = &mut self.pool[best];
        let endpoint = entry.endpoint;
        // At the next pick, this request is in flight there too.
        entry.rif = entry.rif.saturating_add(1);
        entry.uses = entry.uses.saturating_sub(1);
        if entry.uses == 0 {
            self.pool.remove(best);
        }
        self.remove_some();
        Some(endpoint)
    }

    /// Returns the number of results, including those that have expired since the last pick.
    pub fn pool_len(&self) -> usize {
        self.pool.len()
    }

    fn remove_some(&mut self) {
        self.removals_due += self.config.removals;
        while self.removals_due >= 1.0 {
            self.removals_due -= 1.0;
            if self.pool.len() <= MIN_POOL {
                continue;
            }
            let hot = self.hot();
            let worst = self
                .pool
                .iter()
                .enumerate()
                .max_by_key(|(_, entry)| entry.rank(hot));
            let worst = worst.map_or(0, |(i, _)| i);
            self.pool.remove(if self.worst_next { worst } else { 0 });
            self.worst_next = !self.worst_next;
        }
    }

    /// Returns the number of requests in flight above which a server is hot.
    fn hot(&self) -> u32 {
        if self.config.quantile == 1.0 {
            // No server is hot, even if picks have added more requests than were ever reported.
            return u32::MAX;
        }
        self.seen.quantile(self.config.quantile)
    }

    /// Returns the requests in flight and the latency as if each failed request had taken longer by the penalty. The
    /// requests in flight increase in proportion to the latency.
    fn penalized(&self, report: Report) -> (u32, Duration) {
        if report.failing.is_nan() || report.failing <= 0.0 {
            return (report.rif, report.latency);
        }
        let extra = self.config.penalty.as_secs_f64() * report.failing.min(1.0);
        let latency = report.latency.as_secs_f64();
        let longer = (latency + extra) / latency.max(MIN_LATENCY);
        let rif = (f64::from(report.rif) + 1.0) * longer - 1.0;
        let extra = Duration::try_from_secs_f64(extra).unwrap_or(Duration::MAX);
        (rif as u32, report.latency.saturating_add(extra))
    }
}

impl PoolEntry {
    /// Lower is better: cold before hot, cold ones by latency, hot ones by requests in flight.
    fn rank(&self, hot: u32) -> (bool, u128, u128) {
        let (rif, latency) = (u128::from(self.rif), self.latency.as_nanos());
        if self.rif > hot {
            (true, rif, latency)
        } else {
            (false, latency, rif)
        }
    }
}

/// The minimum number of results to choose from.
const MIN_POOL: usize = 2;
/// The minimum latency that is assumed, in seconds.
const MIN_LATENCY: f64 = 1e-6;
