//! Error types.

use std::{error, fmt};

/// The request failed by fault injection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Injected(());

impl Injected {
    /// Creates the error.
    pub const fn new() -> Self {
        Self(())
    }
}

impl fmt::Display for Injected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an injected fault")
    }
}

impl error::Error for Injected {}
