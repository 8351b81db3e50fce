//! Error types.

use std::time::Duration;
use std::{error, fmt};

use crate::Deadline;

/// The request took longer than its timeout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Elapsed {
    timeout: Option<Duration>,
}

impl Elapsed {
    /// Creates an error without a timeout value.
    pub const fn new() -> Self {
        Self { timeout: None }
    }

    /// Creates the error of a request that timed out after `timeout`.
    pub const fn after(timeout: Duration) -> Self {
        Self {
            timeout: Some(timeout),
        }
    }

    /// Returns the timeout that elapsed. It is `Some` in every error from [`Timeout`](crate::Timeout).
    pub const fn timeout(&self) -> Option<Duration> {
        self.timeout
    }
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.timeout {
            Some(timeout) => write!(f, "request timed out after {timeout:?}"),
            None => f.write_str("request timed out"),
        }
    }
}

impl error::Error for Elapsed {}

/// The request's deadline has passed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadlineExceeded {
    deadline: Option<Deadline>,
}

impl DeadlineExceeded {
    pub(crate) const fn new(deadline: Option<Deadline>) -> Self {
        Self { deadline }
    }

    /// Returns the deadline that has passed. It is `Some` in every error from this crate.
    pub const fn deadline(&self) -> Option<Deadline> {
        self.deadline
    }
}

impl fmt::Display for DeadlineExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("deadline exceeded")
    }
}

impl error::Error for DeadlineExceeded {}
