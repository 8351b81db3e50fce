use std::time::Duration;

use super::Statistic;
use crate::policy::InvalidPolicy;
use crate::policy::error::ensure;

/// How outliers are found, and for how long they are out.
///
/// ```
/// use std::time::Duration;
/// use tower_balance::policy::outlier::{FailurePercentage, OutlierConfig};
///
/// let config = OutlierConfig::default()
///     .interval(Duration::from_secs(5))
///     .max_ejection_percent(30)
///     .failure_percentage(Some(FailurePercentage::default()));
/// ```
#[derive(Debug, Clone)]
pub struct OutlierConfig {
    pub(super) interval: Duration,
    pub(super) base: Duration,
    pub(super) max: Duration,
    pub(super) max_percent: u32,
    pub(super) bounds: Bounds,
    pub(super) consecutive: Option<u32>,
    pub(crate) cancelled_after: Option<Duration>,
    pub(crate) count_silence: bool,
    pub(super) success_rate: Option<SuccessRate>,
    pub(super) failure_percentage: Option<FailurePercentage>,
}

/// Ejects who succeeds less often than the others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SuccessRate {
    /// How far below the others is too far. By default 1.9 standard deviations.
    pub statistic: Statistic,
    /// How many endpoints must have had enough requests. By default 5.
    pub min_endpoints: usize,
    /// How many requests of an interval are enough to judge an endpoint. By default 100.
    pub min_requests: u64,
}

/// Ejects who fails more than a fixed part of its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailurePercentage {
    /// From 0 to 100; see [`Bounds`] for who fails just as much. By default 85.
    pub threshold: u32,
    /// How many endpoints must have had enough requests. By default 5.
    pub min_endpoints: usize,
    /// How many requests of an interval are enough to judge an endpoint. By default 50.
    pub min_requests: u64,
}

/// What counts on the bound itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Bounds {
    /// An ejection is allowed if no more than the maximum are out with it. Who fails as much as the threshold is ejected.
    #[default]
    Envoy,
    /// An ejection is allowed if less than the maximum are out without it. Who fails as much as the threshold is not
    /// ejected.
    Grpc,
}

impl OutlierConfig {
    /// How often the rates are compared, and the ejected looked after. By default 10 seconds.
    pub fn interval(self, interval: Duration) -> Self {
        Self { interval, ..self }
    }

    /// The time out for the first ejection; for the n-th it is n times as long. By default 30 seconds.
    pub fn base_ejection_time(self, base: Duration) -> Self {
        Self { base, ..self }
    }

    /// The longest time out, if it is not less than the base. By default 300 seconds.
    pub fn max_ejection_time(self, max: Duration) -> Self {
        Self { max, ..self }
    }

    /// How many of the endpoints may be out at a time, in percent. One may in any case, unless it is 0. By default 10.
    pub fn max_ejection_percent(self, percent: u32) -> Self {
        Self {
            max_percent: percent,
            ..self
        }
    }

    /// What counts on the bound itself. By default as in Envoy.
    pub fn bounds(self, bounds: Bounds) -> Self {
        Self { bounds, ..self }
    }

    /// How many failures in a row eject, if any number does. By default 5.
    pub fn consecutive(self, failures: Option<u32>) -> Self {
        Self {
            consecutive: failures,
            ..self
        }
    }

    /// How long a request must have waited for its endpoint to count as a failure when it is cancelled, as by a timeout above
    /// the balancer. By default 500 milliseconds; with `None` cancelled requests never count.
    ///
    /// Set it above what the endpoints need to answer, and below the timeouts.
    pub fn cancelled_after(self, waited: Option<Duration>) -> Self {
        Self {
            cancelled_after: waited,
            ..self
        }
    }

    /// Whether the requests that wait for an endpoint count as failures while it answers none of them for an interval. By
    /// default they do not.
    ///
    /// So an endpoint that hangs is out long before its requests run into their timeouts. Each request counts once, and the
    /// first answer takes it back. It is for endpoints whose responses begin within an interval, as a rule; those of gRPC
    /// streams may begin with their first message, at any time.
    pub fn count_silence(self, counts: bool) -> Self {
        Self {
            count_silence: counts,
            ..self
        }
    }

    /// Whether and how successes are compared. By default they are, by the defaults of [`SuccessRate`].
    pub fn success_rate(self, rule: Option<SuccessRate>) -> Self {
        Self {
            success_rate: rule,
            ..self
        }
    }

    /// Whether and how failures are bounded. By default they are not.
    pub fn failure_percentage(self, rule: Option<FailurePercentage>) -> Self {
        Self {
            failure_percentage: rule,
            ..self
        }
    }

    /// Whether there is any rule to eject by.
    pub(super) fn is_active(&self) -> bool {
        self.consecutive.is_some()
            || self.success_rate.is_some()
            || self.failure_percentage.is_some()
    }

    pub(super) fn validate(&self) -> Result<(), InvalidPolicy> {
        ensure(
            !self.interval.is_zero(),
            "the interval must be more than zero",
        )?;
        ensure(
            self.max_percent <= 100,
            "the maximum of ejections must be at most 100 percent",
        )?;
        ensure(
            self.consecutive != Some(0),
            "at least one failure in a row must be allowed for",
        )?;
        if let Some(SuccessRate { statistic, .. }) = self.success_rate {
            let (Statistic::StdDev(factor) | Statistic::Mad(factor)) = statistic;
            let sane = factor.is_finite() && factor >= 0.0;
            ensure(
                sane,
                "the factor of deviation must be a number of at least 0",
            )?;
        }
        let threshold = self.failure_percentage.map_or(0, |rule| rule.threshold);
        ensure(
            threshold <= 100,
            "the threshold of failures must be at most 100 percent",
        )
    }
}

impl Default for OutlierConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            base: Duration::from_secs(30),
            max: Duration::from_secs(300),
            max_percent: 10,
            bounds: Bounds::default(),
            consecutive: Some(5),
            cancelled_after: Some(Duration::from_millis(500)),
            count_silence: false,
            success_rate: Some(SuccessRate::default()),
            failure_percentage: None,
        }
    }
}

impl Default for SuccessRate {
    fn default() -> Self {
        Self {
            statistic: Statistic::StdDev(1.9),
            min_endpoints: 5,
            min_requests: 100,
        }
    }
}

impl Default for FailurePercentage {
    fn default() -> Self {
        Self {
            threshold: 85,
            min_endpoints: 5,
            min_requests: 50,
        }
    }
}
