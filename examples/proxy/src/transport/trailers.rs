//! The trailers of messages in both directions.

use std::error::Error;
use std::fmt;

use bytes::Bytes;
use http_body::Frame;
use tower::BoxError;

use super::headers;

/// Trailers that are too large.
#[derive(Debug)]
pub struct TrailersTooLarge(());

impl TrailersTooLarge {
    /// As they have come, or as h2 has cut them.
    pub(crate) const fn new() -> Self {
        Self(())
    }
}

/// Lets data pass, and of trailers what may.
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
