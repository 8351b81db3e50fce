//! Error types.

use std::{error, fmt};

/// The request was rejected because the inner service was not ready.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overloaded(());

impl Overloaded {
    /// Creates the error.
    pub const fn new() -> Self {
        Self(())
    }
}

impl fmt::Display for Overloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("service overloaded")
    }
}

impl error::Error for Overloaded {}
