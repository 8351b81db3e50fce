use std::fmt;

use tower_readiness::LayerEvent;

use crate::policy::outlier::Cause;

/// The state of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It receives requests and counts as healthy.
    Healthy,
    /// It was ejected and may receive a probe, whose result decides whether it returns. Until then it does not count as
    /// healthy.
    Probing,
    /// It receives no requests.
    Ejected(Reason),
}

/// Why an endpoint receives no requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// It is an [outlier](super::EjectOutliers).
    Outlier(Cause),
    /// It was marked dead by [failure accrual](super::AccrueFailures); a probe may be in flight.
    Dead,
    /// Its [health checks](super::check) fail.
    Checks,
    /// Its first health check has not ended yet.
    Unchecked,
}

/// For the hook of [`Health::on_change`](crate::Health::on_change): a standing that an endpoint has changed to.
impl LayerEvent for Standing {
    const LAYER: &'static str = "health";

    fn kind(&self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Probing => "probing",
            Self::Ejected(Reason::Outlier(_)) => "ejected_outlier",
            Self::Ejected(Reason::Dead) => "ejected_dead",
            Self::Ejected(Reason::Checks) => "ejected_checks",
            Self::Ejected(Reason::Unchecked) => "ejected_unchecked",
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Healthy => f.write_str("healthy"),
            Self::Probing => f.write_str("being probed"),
            Self::Ejected(reason) => write!(f, "ejected: {reason}"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Outlier(Cause::Consecutive) => "too many consecutive failures",
            Self::Outlier(Cause::SuccessRate) => "a lower success rate than the others",
            Self::Outlier(Cause::FailurePercentage) => "too high a failure percentage",
            Self::Dead => "marked dead by failure accrual",
            Self::Checks => "health checks fail",
            Self::Unchecked => "not checked yet",
        })
    }
}
