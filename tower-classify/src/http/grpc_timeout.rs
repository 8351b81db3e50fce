//! The header `grpc-timeout`, which is the timeout of a gRPC call.
//!
//! The value has one to eight digits and a unit: `H` hours, `M` minutes, `S` seconds, `m` milliseconds, `u`
//! microseconds or `n` nanoseconds ([gRPC over
//! HTTP/2](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md)).
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use tower_classify::http::grpc_timeout::{format, parse};
//!
//! assert_eq!(parse(b"250m"), Ok(Duration::from_millis(250)));
//! assert_eq!(format(Duration::from_millis(250)).as_str(), "250000u");
//! assert_eq!(parse(b"1.5S").unwrap_err().to_string(), "found \"1.5S\", expected up to 8 digits and one of the units H, M, S, m, u, n");
//! ```

use std::fmt;
use std::time::Duration;

/// Parses the value of the header.
///
/// # Errors
///
/// If the value is not one to eight digits followed by a unit.
pub fn parse(value: &[u8]) -> Result<Duration, InvalidGrpcTimeout> {
    let parsed = || {
        let (&unit, digits) = value.split_last()?;
        if !(1..=MAX_DIGITS).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let number = digits
            .iter()
            .fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
        UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, nanos)| {
                let nanos = u128::from(number) * u128::from(*nanos);
                // At most 99,999,999 hours: fits in a `u64` of seconds.
                Duration::new((nanos / NANOS) as u64, (nanos % NANOS) as u32)
            })
    };
    parsed().ok_or_else(|| InvalidGrpcTimeout::new(value))
}

/// Formats `timeout` as a header value, rounded down, in the finest unit in which it has at most eight digits. The
/// maximum is 99,999,999 hours.
pub fn format(timeout: Duration) -> Value {
    let nanos = timeout.as_nanos();
    let fits = |unit: &&(u8, u64)| nanos / u128::from(unit.1) <= MAX_NUMBER;
    let (unit, size) = *UNITS.iter().find(fits).unwrap_or(&UNITS[UNITS.len() - 1]);
    let mut number = (nanos / u128::from(size)).min(MAX_NUMBER) as u32;
    let mut value = Value {
        text: [unit; MAX_DIGITS + 1],
        begin: MAX_DIGITS,
    };
    loop {
        value.begin -= 1;
        value.text[value.begin] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return value;
        }
    }
}

/// A value of the header.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Value {
    /// The digits and the unit, right-aligned.
    text: [u8; MAX_DIGITS + 1],
    begin: usize,
}

impl Value {
    /// Returns the value as text.
    pub fn as_str(&self) -> &str {
        // Digits and letters are always valid UTF-8.
        std::str::from_utf8(&self.text[self.begin..]).unwrap_or_default()
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// The value of a `grpc-timeout` header is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidGrpcTimeout(String);

impl InvalidGrpcTimeout {
    fn new(value: &[u8]) -> Self {
        // The value may be of any length.
        let shown = &value[..value.len().min(32)];
        Self(String::from_utf8_lossy(shown).into_owned())
    }
}

impl fmt::Display for InvalidGrpcTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "found {:?}, expected up to 8 digits and one of the units H, M, S, m, u, n",
            self.0
        )
    }
}

impl std::error::Error for InvalidGrpcTimeout {}

const MAX_DIGITS: usize = 8;
const MAX_NUMBER: u128 = 99_999_999;
const NANOS: u128 = 1_000_000_000;
/// Units and their nanoseconds, finest first.
const UNITS: [(u8, u64); 6] = [
    (b'n', 1),
    (b'u', 1_000),
    (b'm', 1_000_000),
    (b'S', 1_000_000_000),
    (b'M', 60_000_000_000),
    (b'H', 3_600_000_000_000),
];
