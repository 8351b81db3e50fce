use std::time::Duration;

use crate::error::InvalidLimit;

/// A number of requests per period. It is also the burst: all requests of a period may be sent at once.
#[derive(Debug, Copy, Clone)]
pub struct Rate {
    requests: u64,
    period: Duration,
}

impl Rate {
    /// Creates a rate of `num` requests per period of length `per`.
    ///
    /// # Panics
    ///
    /// If `num` or `per` is zero.
    pub const fn new(num: u64, per: Duration) -> Self {
        assert!(num > 0, "a rate needs at least one request per period");
        assert!(!per.is_zero(), "a rate needs a period longer than zero");
        Self {
            requests: num,
            period: per,
        }
    }

    /// Creates a rate of `num` requests per period of length `per`.
    ///
    /// # Errors
    ///
    /// If `num` or `per` is zero.
    pub const fn try_new(num: u64, per: Duration) -> Result<Self, InvalidLimit> {
        if num == 0 {
            return Err(InvalidLimit::NoRequests);
        }
        if per.is_zero() {
            return Err(InvalidLimit::NoPeriod);
        }
        Ok(Self {
            requests: num,
            period: per,
        })
    }

    pub(super) const fn requests(&self) -> u64 {
        self.requests
    }

    pub(super) const fn period(&self) -> Duration {
        self.period
    }
}
