//! Error types.

use std::time::Duration;
use std::{error, fmt};

/// A limit refused the request.
///
/// It is returned in a [`BoxError`](crate::BoxError): find it with `downcast_ref`, or in the facade with
/// `tower::classify::refusal`, which maps [`Rate`](LimitKind::Rate) and the limits per key to HTTP 429 and gRPC
/// RESOURCE_EXHAUSTED, and the others to 503 and UNAVAILABLE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitExceeded {
    limit: LimitKind,
    retry_after: Option<Duration>,
}

/// Which kind of limit refused a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LimitKind {
    /// The limit of requests in flight, of all requests together.
    Concurrency,
    /// The rate of all requests together.
    Rate,
    /// The limit of requests in flight, of one key.
    KeyConcurrency,
    /// The rate of one key.
    KeyRate,
    /// The maximum number of keys: all of them have requests in flight, so none could be forgotten for a new one.
    Keys,
}

impl LimitExceeded {
    /// Creates the error. `retry_after` is the time after which a request would be admitted, if that is known.
    pub const fn new(limit: LimitKind, retry_after: Option<Duration>) -> Self {
        Self { limit, retry_after }
    }

    /// Returns the kind of the limit.
    pub const fn limit(&self) -> LimitKind {
        self.limit
    }

    /// Returns the time after which the limit admits a request, unless others take its place: known for rates, and `None` for
    /// requests in flight, as it is not known when they end.
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    #[cfg(any(feature = "concurrency", feature = "rate"))]
    #[cold]
    pub(crate) fn boxed(&self) -> crate::BoxError {
        self.clone().into()
    }
}

impl fmt::Display for LimitExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.limit {
            LimitKind::Concurrency => "too many requests in flight",
            LimitKind::Rate => "too many requests in this period",
            LimitKind::KeyConcurrency => "too many requests in flight for this key",
            LimitKind::KeyRate => "too many requests in this period for this key",
            LimitKind::Keys => "too many keys with requests in flight",
        })
    }
}

impl error::Error for LimitExceeded {}

/// A parameter of a limit is out of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidLimit {
    /// A rate of zero requests per period.
    NoRequests,
    /// A rate per period of length zero.
    NoPeriod,
    /// A token bucket that holds no token.
    NoBurst,
    /// A limit of zero requests in flight, which would refuse every request.
    NoPermits,
    /// A maximum of zero keys, or of more than 2³².
    Keys(usize),
}

impl fmt::Display for InvalidLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRequests => f.write_str("a rate needs at least one request per period"),
            Self::NoPeriod => f.write_str("a rate needs a period longer than zero"),
            Self::NoBurst => f.write_str("a token bucket needs a burst of at least one"),
            Self::NoPermits => f.write_str("a limit needs at least one permit"),
            Self::Keys(found) => {
                write!(
                    f,
                    "the maximum number of keys is {found}, and must be from 1 to 2^32"
                )
            }
        }
    }
}

impl error::Error for InvalidLimit {}
