//! Error types.

use std::{error, fmt};

/// The optional service is absent.
#[derive(Debug)]
pub struct None(());

impl None {
    pub(crate) const fn new() -> Self {
        Self(())
    }
}

impl fmt::Display for None {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the optional service is absent")
    }
}

impl error::Error for None {}
