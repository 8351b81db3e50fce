use std::error::Error;
use std::{fmt, io};

use tower::classify::cause_ref;
use tower::timeout::http::BodyTimedOut;

use crate::transport::trailers::TrailersTooLarge;

/// Why a client's body failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyFailure {
    /// It took too long.
    TimedOut(BodyTimedOut),
    /// It violates its protocol.
    Malformed,
    /// Its trailers are too large, or too many.
    LongTrailers,
    /// It ended early: the client has disconnected.
    Incomplete,
}

impl BodyFailure {
    /// Returns why a body failed with `error`.
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        if let Some(known) = cause_ref(error) {
            return *known;
        }
        if let Some(timed_out) = cause_ref(error) {
            return Self::TimedOut(*timed_out);
        }
        if cause_ref::<TrailersTooLarge>(error).is_some() {
            return Self::LongTrailers;
        }
        if let Some(h2) = cause_ref::<h2::Error>(error) {
            // If the client did not reset it, this side found a protocol violation.
            return match h2.is_remote() || h2.is_io() {
                true => Self::Incomplete,
                false => Self::Malformed,
            };
        }
        match cause_ref::<io::Error>(error) {
            // hyper's error for invalid chunks, and for trailers that are too large.
            Some(error) if error.kind() == io::ErrorKind::InvalidInput => Self::Malformed,
            Some(error) if error.kind() == io::ErrorKind::InvalidData => {
                match error.to_string().contains("trailers") {
                    true => Self::LongTrailers,
                    false => Self::Malformed,
                }
            }
            _ => Self::Incomplete,
        }
    }
}

impl fmt::Display for BodyFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut(timed_out) => timed_out.fmt(f),
            Self::Malformed => f.write_str("the request's body is malformed"),
            Self::LongTrailers => f.write_str("the request's trailers are too long"),
            Self::Incomplete => f.write_str("the request's body is incomplete"),
        }
    }
}

impl Error for BodyFailure {}
