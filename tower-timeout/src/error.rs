//! Errors.

use std::time::Duration;
use std::{error, fmt};

use crate::Deadline;

/// The request took too long.
#[derive(Debug, Default)]
pub struct Elapsed {
    timeout: Option<Duration>,
}

impl Elapsed {
    /// An error that does not tell the timeout.
    pub const fn new() -> Self {
        Self { timeout: None }
    }

    /// An error of a request that had `timeout`.
    pub const fn after(timeout: Duration) -> Self {
        Self {
            timeout: Some(timeout),
        }
    }

    /// How long the request had; known of every error that comes from a [`Timeout`](crate::Timeout).
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
#[derive(Debug, Default)]
pub struct DeadlineExceeded {
    deadline: Option<Deadline>,
}

impl DeadlineExceeded {
    pub(crate) const fn new(deadline: Option<Deadline>) -> Self {
        Self { deadline }
    }

    /// When it was; known of every error that comes from this crate.
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
