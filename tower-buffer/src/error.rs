//! Errors.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::BoxError;

/// The buffer's service failed in `poll_ready`, or panicked. It was dropped, and all queued and later requests fail.
#[derive(Debug, Clone)]
pub struct ServiceError {
    reason: Arc<dyn Error + Send + Sync>,
}

impl ServiceError {
    pub(crate) fn new(reason: BoxError) -> Self {
        Self {
            reason: reason.into(),
        }
    }
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("buffered service failed")
    }
}

impl Error for ServiceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.reason)
    }
}

/// The buffer's service panicked; the source of a [`ServiceError`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panicked {
    message: String,
}

impl Panicked {
    pub(crate) fn new(payload: &(dyn Any + Send)) -> Self {
        let text = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(|s| &**s));
        Self {
            message: text.unwrap_or("the panic has no message").to_owned(),
        }
    }

    /// Returns the panic message.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "panicked: {}", self.message)
    }
}

impl Error for Panicked {}

/// The buffer's worker was dropped, and with it the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed(());

impl Closed {
    pub(crate) const fn new() -> Self {
        Self(())
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("buffer's worker closed unexpectedly")
    }
}

impl Error for Closed {}

/// Why the buffer returns no more responses.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    Service(ServiceError),
    Closed,
}

impl From<Failure> for BoxError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Service(error) => error.into(),
            Failure::Closed => Closed::new().into(),
        }
    }
}
