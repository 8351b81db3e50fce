//! Error types.

use std::{error, fmt};

use crate::BoxError;

/// Both the inner service and the fallback service have failed.
///
/// The [source](error::Error::source) is the error of the fallback service: it decides how the request is classified by the layers
/// above, and whether it is sent again.
#[derive(Debug)]
pub struct FallbackFailed {
    fallback: BoxError,
    original: Option<BoxError>,
}

impl FallbackFailed {
    pub(crate) const fn new(fallback: BoxError, original: Option<BoxError>) -> Self {
        Self { fallback, original }
    }

    /// Returns the error of the inner service, or `None` if it returned a response that was classified as a failure.
    pub fn original(&self) -> Option<&(dyn error::Error + Send + Sync + 'static)> {
        self.original.as_deref()
    }
}

impl fmt::Display for FallbackFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.original {
            Some(original) => write!(f, "the fallback failed too, after: {original}"),
            None => f.write_str("the fallback failed too"),
        }
    }
}

impl error::Error for FallbackFailed {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(self.fallback.as_ref())
    }
}
