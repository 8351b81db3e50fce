use std::fmt;

use crate::policy::outlier::Cause;

/// How an endpoint does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Well.
    Well,
    /// It gets a request or a few, to see whether it is well again; until then it counts as not well.
    Trial,
    /// It is to get no requests.
    Out(Reason),
}

/// Why an endpoint is to get no requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// It is an [outlier](super::EjectOutliers).
    Outlier(Cause),
    /// It is dead by its [failures](super::AccrueFailures), or waits for the outcome of its trial.
    Dead,
    /// Its checks fail.
    Checks,
    /// It has not been checked yet.
    Unchecked,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Well => f.write_str("well"),
            Self::Trial => f.write_str("on trial"),
            Self::Out(reason) => write!(f, "out: {reason}"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Outlier(Cause::Consecutive) => "failed too often in a row",
            Self::Outlier(Cause::SuccessRate) => "succeeds less often than the others",
            Self::Outlier(Cause::FailurePercentage) => "fails too many of its requests",
            Self::Dead => "dead by its failures",
            Self::Checks => "its checks fail",
            Self::Unchecked => "not checked yet",
        })
    }
}
