use std::error::Error;
use std::fmt;

/// Why a connection was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GivenUp {
    /// The client began a request and did not send its head in time.
    Head,
    /// The client sent nothing.
    Silent,
    /// The client did not read the response.
    Unread,
    /// The client did not close the connection.
    Lingering,
}

impl fmt::Display for GivenUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Head => "the head of the request did not arrive in time",
            Self::Silent => "the client sends nothing",
            Self::Unread => "the client does not read its response",
            Self::Lingering => "the client does not close the connection",
        })
    }
}

impl Error for GivenUp {}
