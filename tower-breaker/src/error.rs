//! Error types.

use std::error::Error;
use std::fmt;
use std::time::Duration;

#[doc(inline)]
pub use tower_util::InvalidPolicy;

/// The request was not sent, because the circuit breaker is open, or is half-open and has no place for another probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    retry_after: Option<Duration>,
}

impl Open {
    pub(crate) const fn new(retry_after: Option<Duration>) -> Self {
        Self { retry_after }
    }

    /// Returns the time after which the breaker may be probed. `None` if that is not known: the breaker was forced open,
    /// or the probes are in flight.
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the circuit breaker is open")
    }
}

impl Error for Open {}

/// The request was not sent, because the service has rejected too many of the recent ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Throttled {
    probability: f64,
}

impl Throttled {
    pub(crate) const fn new(probability: f64) -> Self {
        Self { probability }
    }

    /// Returns the probability with which the request was rejected.
    pub const fn probability(&self) -> f64 {
        self.probability
    }

    /// Returns `None`: the next request may be sent.
    pub const fn retry_after(&self) -> Option<Duration> {
        None
    }
}

impl fmt::Display for Throttled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the service rejects too many requests")
    }
}

impl Error for Throttled {}
