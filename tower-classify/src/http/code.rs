use std::fmt;
use std::str::FromStr;

use http::{HeaderMap, HeaderName, StatusCode};

use super::field;

macro_rules! codes {
    ($($variant:ident = $number:literal, $name:literal;)*) => {
        /// A gRPC status code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Code {
            $(#[doc = $name] $variant = $number,)*
        }

        impl Code {
            const ALL: [Self; 17] = [$(Self::$variant,)*];

            /// Returns the name in the specification, such as `DEADLINE_EXCEEDED`.
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
    /// Returns the code in the `grpc-status` of these headers or trailers, or `None` if there is none. A value that is
    /// not the number of a code is `UNKNOWN`.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let value = field::get(headers, &GRPC_STATUS)?;
        let number = value.to_str().ok().and_then(|text| text.parse().ok());
        let code = number.and_then(|number: usize| Self::ALL.get(number).copied());
        Some(code.unwrap_or(Self::Unknown))
    }

    /// Returns the code of a response without a `grpc-status`, by its HTTP status
    /// ([table](https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md)); 200 is `OK` here, as the
    /// status may follow in trailers.
    pub const fn of_http(status: StatusCode) -> Self {
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

    /// Returns the number that is sent as `grpc-status`.
    pub const fn number(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Code {
    type Err = InvalidCode;

    /// Parses the name, in upper or lower case, with `_` or `-`.
    fn from_str(text: &str) -> Result<Self, InvalidCode> {
        let name = text.to_ascii_uppercase().replace('-', "_");
        let code = Self::ALL.into_iter().find(|code| code.name() == name);
        code.ok_or_else(|| InvalidCode(text.to_owned()))
    }
}

/// The text is not the name of a gRPC status code.
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

/// A set of codes, one bit each.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct CodeSet(u32);

impl CodeSet {
    #[inline]
    pub(super) const fn contains(self, code: Code) -> bool {
        self.0 & (1 << code as u32) != 0
    }
}

impl Extend<Code> for CodeSet {
    fn extend<I: IntoIterator<Item = Code>>(&mut self, codes: I) {
        for code in codes {
            self.0 |= 1 << code as u32;
        }
    }
}

impl FromIterator<Code> for CodeSet {
    fn from_iter<I: IntoIterator<Item = Code>>(codes: I) -> Self {
        let mut set = Self::default();
        set.extend(codes);
        set
    }
}

impl fmt::Debug for CodeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let codes = Code::ALL.into_iter().filter(|code| self.contains(*code));
        f.debug_set().entries(codes).finish()
    }
}

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn codes_are_parsed_from_numbers_and_names() {
        let of = |value| {
            let value = HeaderValue::from_static(value);
            Code::of(&HeaderMap::from_iter([(GRPC_STATUS, value)]))
        };
        assert_eq!(of("14"), Some(Code::Unavailable));
        for unknown in ["17", "-1", "x", ""] {
            assert_eq!(of(unknown), Some(Code::Unknown));
        }
        assert_eq!(Code::of(&HeaderMap::new()), None);
        assert_eq!("deadline-exceeded".parse(), Ok(Code::DeadlineExceeded));
        assert_eq!("UNAVAILABLE".parse(), Ok(Code::Unavailable));
        let error = "down".parse::<Code>().unwrap_err();
        assert!(error.to_string().contains("\"down\""));
        for (number, code) in Code::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(code.number()), number);
        }
    }
}
