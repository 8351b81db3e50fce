//! The remaining time of a request, in its headers.

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use tower_classify::http::{grpc_timeout, is_grpc_or_web};

/// Reads the remaining time: from `grpc-timeout` if the request is gRPC, otherwise from the header `name`, in whole
/// milliseconds.
pub(super) fn read(
    headers: &HeaderMap,
    name: &HeaderName,
) -> Result<Option<Duration>, InvalidTimeout> {
    if is_grpc_or_web(headers) {
        let Some(value) = headers.get(GRPC_TIMEOUT) else {
            return Ok(None);
        };
        let invalid = |_| InvalidTimeout::new(&GRPC_TIMEOUT, value);
        return grpc_timeout::parse(value.as_bytes())
            .map(Some)
            .map_err(invalid);
    }
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let digits = value.as_bytes();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(InvalidTimeout::new(name, value));
    }
    let millis = value.to_str().ok().and_then(|text| text.parse().ok());
    Ok(Some(Duration::from_millis(millis.unwrap_or(u64::MAX))))
}

/// Writes the time that is left for the next hop, rounded down. Returns `false` if that is zero.
pub(super) fn write(headers: &mut HeaderMap, name: &HeaderName, left: Duration) -> bool {
    if is_grpc_or_web(headers) {
        let value = grpc_timeout::format(left);
        if let Ok(value) = HeaderValue::from_str(value.as_str()) {
            headers.insert(GRPC_TIMEOUT, value);
        }
        return !left.is_zero();
    }
    let millis = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
    headers.insert(name, HeaderValue::from(millis));
    millis > 0
}

/// The timeout header of a request is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidTimeout {
    header: HeaderName,
    value: String,
}

impl InvalidTimeout {
    fn new(header: &HeaderName, value: &HeaderValue) -> Self {
        // The client may have sent a value of any length.
        let shown = &value.as_bytes()[..value.len().min(32)];
        Self {
            header: header.clone(),
            value: String::from_utf8_lossy(shown).into_owned(),
        }
    }

    /// Returns the name of the invalid header.
    pub const fn header(&self) -> &HeaderName {
        &self.header
    }
}

impl fmt::Display for InvalidTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let expected = match self.header == GRPC_TIMEOUT {
            true => "up to 8 digits and a unit out of H, M, S, m, u, n",
            false => "a whole number of milliseconds",
        };
        let Self { header, value } = self;
        write!(f, "header {header}: found {value:?}, expected {expected}")
    }
}

impl std::error::Error for InvalidTimeout {}

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
pub(super) const DEFAULT_NAME: HeaderName = HeaderName::from_static("x-request-timeout-ms");
