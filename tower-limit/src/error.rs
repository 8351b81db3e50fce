//! Error types.

use std::{error, fmt};

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
}

impl fmt::Display for InvalidLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRequests => "a rate needs at least one request per period",
            Self::NoPeriod => "a rate needs a period longer than zero",
            Self::NoBurst => "a token bucket needs a burst of at least one",
        })
    }
}

impl error::Error for InvalidLimit {}
