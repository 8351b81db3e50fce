use std::error::Error;
use std::fmt;
use std::time::Duration;

/// The service behind a [`FailFast`](super::FailFast) has not been ready for longer than `max_wait`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable {
    waited: Duration,
}

impl Unavailable {
    pub(super) fn new(waited: Duration) -> Self {
        Self { waited }
    }

    /// Returns `max_wait`: how long the service may be pending before requests fail.
    pub fn waited(&self) -> Duration {
        self.waited
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "service unavailable: not ready for {:?}", self.waited)
    }
}

impl Error for Unavailable {}
