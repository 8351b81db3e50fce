use std::time::Duration;

use tower_util::rng::Rng;

use crate::policy::InvalidPolicy;
use crate::policy::error::ensure;

/// When and how endpoints are checked.
///
/// ```
/// use std::time::Duration;
/// use tower_health::check::CheckConfig;
///
/// let config = CheckConfig::default()
///     .interval(Duration::from_secs(5))
///     .no_traffic_interval(Some(Duration::from_secs(60)))
///     .thresholds(2, 3);
/// ```
#[derive(Debug, Clone)]
pub struct CheckConfig {
    interval: Duration,
    no_traffic_interval: Option<Duration>,
    pub(super) timeout: Duration,
    jitter_percent: u32,
    pub(super) healthy_threshold: u32,
    pub(super) unhealthy_threshold: u32,
    pub(super) concurrency: usize,
}

impl CheckConfig {
    /// The time from the end of a check to the next one. By default 10 seconds.
    pub fn interval(self, interval: Duration) -> Self {
        Self { interval, ..self }
    }

    /// The interval for an endpoint that is healthy and had no request since its last check. By default the same.
    pub fn no_traffic_interval(self, interval: Option<Duration>) -> Self {
        Self {
            no_traffic_interval: interval,
            ..self
        }
    }

    /// When a check is given up as failing. By default 1 second.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// By how many percent of it at most an interval is longer, at random. By default 10.
    pub fn jitter_percent(self, percent: u32) -> Self {
        Self {
            jitter_percent: percent,
            ..self
        }
    }

    /// How many checks in a row have to find an endpoint healthy that was not, and how many have to fail that one that was
    /// is not any more. By default 2 and 3. For an endpoint that is new, one is enough either way.
    pub fn thresholds(self, healthy: u32, unhealthy: u32) -> Self {
        Self {
            healthy_threshold: healthy,
            unhealthy_threshold: unhealthy,
            ..self
        }
    }

    /// How many checks may run at a time; the others wait for their turn. By default 32.
    pub fn concurrency(self, most: usize) -> Self {
        Self {
            concurrency: most,
            ..self
        }
    }

    /// How long to wait for the next check.
    pub(super) fn wait<R: Rng + ?Sized>(&self, traffic: bool, rng: &mut R) -> Duration {
        let idle = self.no_traffic_interval.filter(|_| !traffic);
        let interval = idle.unwrap_or(self.interval);
        let most = interval.as_nanos() * u128::from(self.jitter_percent) / 100;
        let jitter = rng.next_range(0..u64::try_from(most).unwrap_or(u64::MAX));
        interval.saturating_add(Duration::from_nanos(jitter))
    }

    pub(super) fn validate(&self) -> Result<(), InvalidPolicy> {
        let intervals = [Some(self.interval), self.no_traffic_interval];
        let zero = intervals
            .into_iter()
            .flatten()
            .any(|interval| interval.is_zero());
        ensure(!zero, "the interval of checks must be more than zero")?;
        ensure(
            !self.timeout.is_zero(),
            "the timeout of a check must be more than zero",
        )?;
        ensure(
            self.healthy_threshold > 0 && self.unhealthy_threshold > 0,
            "at least one check must find out",
        )?;
        ensure(
            self.concurrency > 0,
            "at least one check must be allowed to run",
        )
    }
}

impl Default for CheckConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            no_traffic_interval: None,
            timeout: Duration::from_secs(1),
            jitter_percent: 10,
            healthy_threshold: 2,
            unhealthy_threshold: 3,
            concurrency: 32,
        }
    }
}
