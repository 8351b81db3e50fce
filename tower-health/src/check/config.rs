use std::time::Duration;

use tower_util::rng::Rng;

use crate::policy::InvalidPolicy;

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
    /// Sets the time from the end of a check to the next one. By default 10 seconds.
    pub fn interval(self, interval: Duration) -> Self {
        Self { interval, ..self }
    }

    /// Sets the interval for an endpoint that is healthy and has received no request since its last check. By default
    /// (`None`) the same as for others.
    pub fn no_traffic_interval(self, interval: Option<Duration>) -> Self {
        Self {
            no_traffic_interval: interval,
            ..self
        }
    }

    /// Sets the timeout of a check, after which it has failed. By default 1 second.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Sets the jitter: each interval is longer by a random share of up to this percentage. By default 10.
    pub fn jitter_percent(self, percent: u32) -> Self {
        Self {
            jitter_percent: percent,
            ..self
        }
    }

    /// Sets the number of consecutive successful checks after which an unhealthy endpoint is healthy, and the number of
    /// consecutive failed checks after which a healthy endpoint is unhealthy. By default 2 and 3. For a new endpoint,
    /// the first check decides.
    pub fn thresholds(self, healthy: u32, unhealthy: u32) -> Self {
        Self {
            healthy_threshold: healthy,
            unhealthy_threshold: unhealthy,
            ..self
        }
    }

    /// Sets the maximum number of concurrent checks; the others wait. By default 32.
    pub fn concurrency(self, most: usize) -> Self {
        Self {
            concurrency: most,
            ..self
        }
    }

    /// Returns how long to wait before the next check.
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
        InvalidPolicy::ensure(!zero, "the interval of checks must be more than zero")?;
        InvalidPolicy::ensure(
            !self.timeout.is_zero(),
            "the timeout of a check must be more than zero",
        )?;
        InvalidPolicy::ensure(
            self.healthy_threshold > 0 && self.unhealthy_threshold > 0,
            "the thresholds must be at least 1",
        )?;
        InvalidPolicy::ensure(
            self.concurrency > 0,
            "the number of concurrent checks must be at least 1",
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
