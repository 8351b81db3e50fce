//! The trailers of messages in both directions.

use std::error::Error;
use std::fmt;

use bytes::Bytes;
use http_body::Frame;
use tower::BoxError;

use super::headers;

/// The trailers are too large.
#[derive(Debug)]
pub struct TrailersTooLarge(());

impl TrailersTooLarge {
    /// Creates the error of trailers that are too large, or that h2 has shortened.
    pub(crate) const fn new() -> Self {
        Self(())
    }
}

/// Passes data on, and removes fields from trailers that must not be forwarded.
///
/// # Errors
///
/// [`TrailersTooLarge`] over `max` bytes.
pub fn check_trailers(mut frame: Frame<Bytes>, max: usize) -> Result<Frame<Bytes>, BoxError> {
    if let Some(trailers) = frame.trailers_mut() {
        if headers::size(trailers) > max {
            return Err(TrailersTooLarge::new().into());
        }
        headers::strip_trailers(trailers);
    }
    Ok(frame)
}

impl fmt::Display for TrailersTooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the trailers are too large")
    }
}

impl Error for TrailersTooLarge {}
