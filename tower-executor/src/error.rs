//! Error types.

use std::any::Any;
use std::time::Duration;
use std::{error, fmt};

/// The request was refused: the maximum number of requests is running, and the queue is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueFull(());

impl QueueFull {
    pub(crate) const fn new() -> Self {
        Self(())
    }

    /// Returns `None`: it is not known when a request that runs will end.
    pub const fn retry_after(&self) -> Option<Duration> {
        None
    }
}

impl fmt::Display for QueueFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too many requests wait for the executor")
    }
}

impl error::Error for QueueFull {}

/// The service panicked in its task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panicked {
    message: Option<Box<str>>,
}

impl Panicked {
    pub(crate) fn new(payload: Box<dyn Any + Send>) -> Self {
        let message = match payload.downcast::<String>() {
            Ok(message) => Some(message.into_boxed_str()),
            Err(payload) => payload.downcast_ref::<&str>().map(|text| Box::from(*text)),
        };
        Self { message }
    }

    /// Returns the message of the panic, if it is a text.
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.message {
            Some(message) => write!(f, "the service panicked: {message}"),
            None => f.write_str("the service panicked"),
        }
    }
}

impl error::Error for Panicked {}

/// The task of the request was dropped, since its runtime was shut down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stopped(());

impl Stopped {
    pub(crate) const fn new() -> Self {
        Self(())
    }
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the runtime of the service was shut down")
    }
}

impl error::Error for Stopped {}

/// An executor that runs zero requests at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidExecutor(pub(crate) ());

impl fmt::Display for InvalidExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an executor needs to run at least one request at a time")
    }
}

impl error::Error for InvalidExecutor {}
