use std::{error, fmt, io};

use tower::classify::{Class, ErrorChain, FailureKind};

use crate::config::Endpoint;
use crate::transport::framing::BadFraming;
use crate::transport::upload::{BodyError, Upload};

/// Why an endpoint did not respond.
///
/// [`UpstreamError::class`] says what it means for the request.
#[derive(Debug)]
#[non_exhaustive]
pub enum UpstreamError {
    /// No connection could be made.
    Connect {
        /// The endpoint.
        endpoint: Endpoint,
        /// The error of the operating system or of the handshake.
        source: ConnectError,
    },
    /// The connection closed before the request was written, or the peer refused to process it.
    Unsent(hyper::Error),
    /// The connection failed after at least a part of the request was written.
    Broken(hyper::Error),
    /// The connection failed, or the peer reset the stream, between the head of the response and its first byte.
    Interrupted(hyper::Error),
    /// The framing of the response is invalid or ambiguous.
    BadAnswer(BadFraming),
    /// The response's head is larger than configured.
    HeadTooLarge,
    /// The client's body failed while it was sent.
    RequestBody(BodyError),
    /// The endpoint did not read the request's body.
    Stalled,
    /// The endpoint has its maximum number of connections and requests.
    Exhausted,
    /// The connection is closed and takes no more requests.
    Closed,
}

/// Why connecting failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The TCP connection failed.
    Tcp(io::Error),
    /// The HTTP handshake failed.
    Handshake(hyper::Error),
    /// The connect timeout elapsed.
    Elapsed(std::time::Duration),
}

impl UpstreamError {
    /// Creates the error of a request of which at least a part was written.
    pub(super) fn sent(error: hyper::Error, upload: Option<&Upload>) -> Self {
        match upload {
            Some(upload) if upload.is_stalled() => Self::Stalled,
            Some(upload) => match upload.failure() {
                Some(failure) => Self::RequestBody(failure),
                None => Self::broken(error),
            },
            None => Self::broken(error),
        }
    }

    fn broken(error: hyper::Error) -> Self {
        match error.is_parse_too_large() {
            true => Self::HeadTooLarge,
            false => Self::Broken(error),
        }
    }

    /// Returns what the error means for the request.
    ///
    /// | error | class |
    /// |---|---|
    /// | the client's body failed | ignored: the client caused it |
    /// | the endpoint has not processed the request, see [`is_unsent`](Self::is_unsent) | unsent |
    /// | the response's head is too large | a final failure: each endpoint would send the same head |
    /// | anything else | `Disconnected`: the request may have been processed |
    pub fn class(&self) -> Class {
        match self {
            Self::RequestBody(_) => Class::Ignored,
            Self::HeadTooLarge => Class::failure(FailureKind::Internal),
            error if error.is_unsent() => Class::Unsent,
            _ => Class::failure(FailureKind::Disconnected),
        }
    }

    /// Returns whether the endpoint provably has not processed the request, so that any request may be sent again.
    pub fn is_unsent(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Unsent(_) | Self::Closed | Self::Exhausted => true,
            // The peer refused the stream, or sent a GOAWAY that excludes it.
            Self::Broken(error) => ErrorChain::class(error) == Class::Unsent,
            Self::Interrupted(_)
            | Self::BadAnswer(_)
            | Self::HeadTooLarge
            | Self::RequestBody(_)
            | Self::Stalled => false,
        }
    }

    /// Returns whether the cause is the client, this machine or its configuration, and not the endpoint.
    pub fn is_ours(&self) -> bool {
        match self {
            Self::RequestBody(_) | Self::Exhausted => true,
            Self::Connect { source, .. } => source.is_local(),
            _ => false,
        }
    }
}

impl ConnectError {
    /// Returns whether this machine lacks a resource, which says nothing about the endpoint.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(error) => {
                matches!(
                    error.kind(),
                    io::ErrorKind::AddrNotAvailable | io::ErrorKind::OutOfMemory
                ) || error.raw_os_error().is_some_and(is_exhausted)
            }
            Self::Handshake(_) | Self::Elapsed(_) => false,
        }
    }
}

/// Returns whether the process or the system is out of file descriptors or buffers.
#[cfg(unix)]
fn is_exhausted(code: i32) -> bool {
    use rustix::io::Errno;

    [Errno::MFILE, Errno::NFILE, Errno::NOBUFS]
        .iter()
        .any(|errno| errno.raw_os_error() == code)
}

#[cfg(not(unix))]
fn is_exhausted(_code: i32) -> bool {
    false
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { endpoint, .. } => write!(f, "cannot connect to {endpoint}"),
            Self::Unsent(_) => {
                f.write_str("the upstream connection closed before the request was sent")
            }
            Self::Broken(_) => f.write_str("the upstream connection broke"),
            Self::Interrupted(_) => {
                f.write_str("the upstream connection broke before the response's body")
            }
            Self::BadAnswer(bad) => write!(f, "the response has {bad}"),
            Self::HeadTooLarge => f.write_str("the response's head is too large"),
            Self::RequestBody(_) => f.write_str("the request's body failed"),
            Self::Stalled => f.write_str("the upstream does not read the request's body"),
            Self::Exhausted => {
                f.write_str("the upstream has reached its maximum number of requests")
            }
            Self::Closed => f.write_str("the upstream connection is closed"),
        }
    }
}

impl error::Error for UpstreamError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Connect { source, .. } => Some(source),
            Self::Unsent(error) | Self::Broken(error) | Self::Interrupted(error) => Some(error),
            Self::BadAnswer(bad) => Some(bad),
            Self::RequestBody(failure) => Some(failure),
            Self::HeadTooLarge | Self::Closed | Self::Stalled | Self::Exhausted => None,
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(error) => write!(f, "tcp: {error}"),
            Self::Handshake(error) => write!(f, "http handshake: {error}"),
            Self::Elapsed(after) => write!(f, "timed out after {after:?}"),
        }
    }
}

impl error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Tcp(error) => error.source(),
            Self::Handshake(error) => error.source(),
            Self::Elapsed(_) => None,
        }
    }
}
