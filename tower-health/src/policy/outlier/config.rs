use std::time::Duration;

use super::Statistic;
use crate::policy::InvalidPolicy;

/// How outliers are detected, and for how long they are ejected.
///
/// ```
/// use std::time::Duration;
/// use tower_health::policy::outlier::{FailurePercentage, OutlierConfig};
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

/// Ejects endpoints with a lower success rate than the others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SuccessRate {
    /// How much lower than the others. By default 1.9 standard deviations.
    pub statistic: Statistic,
    /// The minimum number of endpoints with enough requests. By default 5.
    pub min_endpoints: usize,
    /// The minimum number of requests in an interval for an endpoint to be compared. By default 100.
    pub min_requests: u64,
}

/// Ejects endpoints whose failure percentage exceeds a fixed threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailurePercentage {
    /// The threshold, from 0 to 100; see [`Bounds`] for endpoints exactly at it. By default 85.
    pub threshold: u32,
    /// The minimum number of endpoints with enough requests. By default 5.
    pub min_endpoints: usize,
    /// The minimum number of requests in an interval for the rule to apply to an endpoint. By default 50.
    pub min_requests: u64,
}

/// How the limits are applied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Bounds {
    /// An ejection is allowed if the maximum is not exceeded with it. An endpoint at the failure threshold is ejected.
    #[default]
    Envoy,
    /// An ejection is allowed if the maximum is not reached without it. An endpoint at the failure threshold is not
    /// ejected.
    Grpc,
}

impl OutlierConfig {
    /// Sets how often endpoints are compared, and ejected ones returned. By default 10 seconds.
    pub fn interval(self, interval: Duration) -> Self {
        Self { interval, ..self }
    }

    /// Sets the ejection time of the first ejection; for the n-th it is n times as long. By default 30 seconds.
    pub fn base_ejection_time(self, base: Duration) -> Self {
        Self { base, ..self }
    }

    /// Sets the maximum ejection time, if it is not less than the base. By default 300 seconds.
    pub fn max_ejection_time(self, max: Duration) -> Self {
        Self { max, ..self }
    }

    /// Sets the percentage of endpoints that may be ejected at the same time. One endpoint always may be, unless this
    /// is 0. By default 10.
    pub fn max_ejection_percent(self, percent: u32) -> Self {
        Self {
            max_percent: percent,
            ..self
        }
    }

    /// Sets how the limits are applied: as in Envoy, or as in gRPC. By default as in Envoy.
    pub fn bounds(self, bounds: Bounds) -> Self {
        Self { bounds, ..self }
    }

    /// Sets the number of consecutive failures that ejects an endpoint; `None` disables the rule. By default 5.
    pub fn consecutive(self, failures: Option<u32>) -> Self {
        Self {
            consecutive: failures,
            ..self
        }
    }

    /// Sets how long a request must have waited for its endpoint to count as a failure when it is cancelled, for
    /// example by a timeout above the balancer. By default 500 milliseconds; with `None` cancelled requests never
    /// count.
    ///
    /// Set it longer than the endpoints usually take to respond, and shorter than the timeouts.
    pub fn cancelled_after(self, waited: Option<Duration>) -> Self {
        Self {
            cancelled_after: waited,
            ..self
        }
    }

    /// Sets whether the requests in flight of an endpoint count as failures when it has answered none of them for an
    /// interval. By default they do not.
    ///
    /// This ejects an endpoint that hangs, long before its requests time out. Each request counts once, and the
    /// endpoint returns with its first response. Use it if responses normally begin within an interval. The response of
    /// a gRPC stream may not begin before its first message, which can take any time.
    pub fn count_silence(self, counts: bool) -> Self {
        Self {
            count_silence: counts,
            ..self
        }
    }

    /// Sets how success rates are compared; `None` disables the rule. By default the defaults of [`SuccessRate`].
    pub fn success_rate(self, rule: Option<SuccessRate>) -> Self {
        Self {
            success_rate: rule,
            ..self
        }
    }

    /// Sets the failure percentage rule; `None` disables it. By default it is disabled.
    pub fn failure_percentage(self, rule: Option<FailurePercentage>) -> Self {
        Self {
            failure_percentage: rule,
            ..self
        }
    }

    /// Whether any rule is enabled.
    pub(super) fn is_active(&self) -> bool {
        self.consecutive.is_some()
            || self.success_rate.is_some()
            || self.failure_percentage.is_some()
    }

    pub(super) fn validate(&self) -> Result<(), InvalidPolicy> {
        InvalidPolicy::ensure(
            !self.interval.is_zero(),
            "the interval must be more than zero",
        )?;
        InvalidPolicy::ensure(
            self.max_percent <= 100,
            "the maximum ejection percent must be at most 100",
        )?;
        InvalidPolicy::ensure(
            self.consecutive != Some(0),
            "the number of consecutive failures must be at least 1",
        )?;
        if let Some(SuccessRate { statistic, .. }) = self.success_rate {
            let (Statistic::StdDev(factor) | Statistic::Mad(factor)) = statistic;
            let sane = factor.is_finite() && factor >= 0.0;
            InvalidPolicy::ensure(
                sane,
                "the factor of the deviation must be a finite number of at least 0",
            )?;
        }
        let threshold = self.failure_percentage.map_or(0, |rule| rule.threshold);
        InvalidPolicy::ensure(
            threshold <= 100,
            "the failure percentage threshold must be at most 100",
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
