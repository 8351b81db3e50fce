//! Errors.

use std::{error, fmt};

/// The service was not ready for this request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overloaded(());

impl Overloaded {
    /// The error.
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
