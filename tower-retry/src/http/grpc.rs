use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal;)*) => {
        /// A status of gRPC.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Code {
            $(#[doc = $name] $variant = $number,)*
        }

        impl Code {
            const ALL: [Self; 17] = [$(Self::$variant,)*];

            /// As the specification writes it, such as `DEADLINE_EXCEEDED`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

codes! {
    Ok = 0, "OK";
    Cancelled = 1, "CANCELLED";
    Unknown = 2, "UNKNOWN";
    InvalidArgument = 3, "INVALID_ARGUMENT";
    DeadlineExceeded = 4, "DEADLINE_EXCEEDED";
    NotFound = 5, "NOT_FOUND";
    AlreadyExists = 6, "ALREADY_EXISTS";
    PermissionDenied = 7, "PERMISSION_DENIED";
    ResourceExhausted = 8, "RESOURCE_EXHAUSTED";
    FailedPrecondition = 9, "FAILED_PRECONDITION";
    Aborted = 10, "ABORTED";
    OutOfRange = 11, "OUT_OF_RANGE";
    Unimplemented = 12, "UNIMPLEMENTED";
    Internal = 13, "INTERNAL";
    Unavailable = 14, "UNAVAILABLE";
    DataLoss = 15, "DATA_LOSS";
    Unauthenticated = 16, "UNAUTHENTICATED";
}

impl Code {
    /// The status in these headers or trailers, if there is one. What is no known number is `UNKNOWN`.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(GRPC_STATUS)?;
        let number = value.to_str().ok().and_then(|text| text.parse().ok());
        let code = number.and_then(|number: usize| Self::ALL.get(number).copied());
        Some(code.unwrap_or(Self::Unknown))
    }

    /// What an answer without a status of gRPC means, by its status of HTTP.
    pub(super) fn of_http(status: StatusCode) -> Self {
        match status {
            StatusCode::OK => Self::Ok,
            StatusCode::BAD_REQUEST => Self::Internal,
            StatusCode::UNAUTHORIZED => Self::Unauthenticated,
            StatusCode::FORBIDDEN => Self::PermissionDenied,
            StatusCode::NOT_FOUND => Self::Unimplemented,
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Self::Unavailable,
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Code {
    type Err = InvalidCode;

    /// A name in either case, with `_` or `-`.
    fn from_str(text: &str) -> Result<Self, InvalidCode> {
        let name = text.to_ascii_uppercase().replace('-', "_");
        let code = Self::ALL.into_iter().find(|code| code.name() == name);
        code.ok_or_else(|| InvalidCode(text.to_owned()))
    }
}

/// No name of a gRPC status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidCode(String);

impl fmt::Display for InvalidCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "found {:?}, expected the name of a gRPC status such as \"unavailable\"",
            self.0
        )
    }
}

impl std::error::Error for InvalidCode {}

/// What a server says about another attempt, in `grpc-retry-pushback-ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushback {
    /// To come after so long.
    After(Duration),
    /// Not to come: the number is negative, or there is none.
    Never,
}

impl Pushback {
    /// What these headers or trailers say, if anything.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(GRPC_RETRY_PUSHBACK_MS)?;
        // The protocol has a signed number of 32 bits; what is none asks not to try again.
        let millis = value
            .to_str()
            .ok()
            .and_then(|text| text.parse::<i32>().ok());
        Some(match millis.and_then(|millis| u64::try_from(millis).ok()) {
            Some(millis) => Self::After(Duration::from_millis(millis)),
            None => Self::Never,
        })
    }
}

/// Whether this is a request of gRPC: `application/grpc`, also with a suffix such as `+proto`, and not gRPC-Web.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let rest = content_type.and_then(|value| value.strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| matches!(rest, [] | [b'+' | b';', ..]))
}

/// Adds to `grpc-previous-rpc-attempts`, which says how many attempts there were before this one.
pub fn count_attempts(headers: &mut HeaderMap, more: u32) {
    let before = headers.get(GRPC_PREVIOUS_RPC_ATTEMPTS);
    let before = before.and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
    let attempts = before.unwrap_or(0).saturating_add(more);
    headers.insert(GRPC_PREVIOUS_RPC_ATTEMPTS, HeaderValue::from(attempts));
}

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_RETRY_PUSHBACK_MS: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");
const GRPC_PREVIOUS_RPC_ATTEMPTS: HeaderName =
    HeaderName::from_static("grpc-previous-rpc-attempts");

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn a_status_is_known_by_its_number_and_by_its_name() {
        assert_eq!(
            Code::of(&headers(GRPC_STATUS, "14")),
            Some(Code::Unavailable)
        );
        for unknown in ["17", "-1", "x", ""] {
            assert_eq!(
                Code::of(&headers(GRPC_STATUS, unknown)),
                Some(Code::Unknown)
            );
        }
        assert_eq!(Code::of(&HeaderMap::new()), None);
        assert_eq!("deadline-exceeded".parse(), Ok(Code::DeadlineExceeded));
        assert_eq!("UNAVAILABLE".parse(), Ok(Code::Unavailable));
        let error = "down".parse::<Code>().unwrap_err();
        assert!(error.to_string().contains("\"down\""));
        for (number, code) in Code::ALL.into_iter().enumerate() {
            assert_eq!(code as usize, number);
        }
    }

    #[test]
    fn a_pushback_is_a_time_or_a_no() {
        let of = |value| Pushback::of(&headers(GRPC_RETRY_PUSHBACK_MS, value));
        assert_eq!(of("0"), Some(Pushback::After(Duration::ZERO)));
        assert_eq!(
            of("1500"),
            Some(Pushback::After(Duration::from_millis(1500)))
        );
        for never in ["-1", "soon", "", "1.5", "99999999999"] {
            assert_eq!(of(never), Some(Pushback::Never), "{never}");
        }
        assert_eq!(Pushback::of(&HeaderMap::new()), None);
    }

    #[test]
    fn grpc_is_told_by_its_content_type() {
        for (value, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc; charset=x", true),
            ("application/grpc-web", false),
            ("application/json", false),
        ] {
            assert_eq!(
                is_grpc(&headers(header::CONTENT_TYPE, value)),
                expected,
                "{value}"
            );
        }
    }
}
