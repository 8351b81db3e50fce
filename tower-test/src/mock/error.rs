//! Error types.

use std::{error, fmt};

pub(crate) type Error = Box<dyn error::Error + Send + Sync>;

/// The [`Handle`](super::Handle), or the [`SendResponse`](super::SendResponse) of this request, was dropped.
#[derive(Debug)]
pub struct Closed(());

impl Closed {
    pub(crate) const fn new() -> Self {
        Self(())
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mock service closed")
    }
}

impl error::Error for Closed {}
