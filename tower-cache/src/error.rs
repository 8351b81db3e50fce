//! Error types.

use std::sync::Arc;
use std::{error, fmt};

/// A parameter of a cache or of coalescing is out of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidCache {
    /// A cache of zero entries.
    NoEntries,
    /// A cache whose entries expire at once.
    NoTtl,
    /// Coalescing with a maximum of zero keys.
    NoKeys,
}

impl fmt::Display for InvalidCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoEntries => "a cache needs room for at least one entry",
            Self::NoTtl => "a cache needs a time to live longer than zero",
            Self::NoKeys => "coalescing needs a maximum of at least one key",
        })
    }
}

impl error::Error for InvalidCache {}

/// The error of a call that several requests share. The error of the service is its [source](error::Error::source).
#[derive(Clone, Debug)]
pub struct SharedError(Arc<dyn error::Error + Send + Sync>);

impl SharedError {
    pub(crate) const fn new(error: Arc<dyn error::Error + Send + Sync>) -> Self {
        Self(error)
    }

    /// Returns the error of the service.
    pub fn get_ref(&self) -> &(dyn error::Error + Send + Sync + 'static) {
        self.0.as_ref()
    }
}

impl fmt::Display for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a call that requests share failed")
    }
}

impl error::Error for SharedError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(self.0.as_ref())
    }
}

/// The service panicked in a call that the request shares with others. The panic itself went on in the task of one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Panicked(());

impl Panicked {
    pub(crate) const fn new() -> Self {
        Self(())
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the service panicked in a call that requests share")
    }
}

impl error::Error for Panicked {}
