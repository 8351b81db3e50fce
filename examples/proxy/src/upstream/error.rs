use std::{error, fmt, io};

use tower::classify::{Class, ErrorChain};

use crate::config::Endpoint;
use crate::transport::framing::BadFraming;
use crate::transport::upload::{BodyError, Upload};

/// Why an endpoint did not answer.
///
/// What matters most for a retry is whether the endpoint can have seen the request: [`UpstreamError::is_unsent`].
#[derive(Debug)]
#[non_exhaustive]
pub enum UpstreamError {
    /// No connection could be made.
    Connect {
        /// Where to.
        endpoint: Endpoint,
        /// What the operating system, or the peer's handshake, said.
        source: ConnectError,
    },
    /// The connection closed before the request was written, or the peer refused to look at it.
    Unsent(hyper::Error),
    /// The connection failed after the request was written, in part at least.
    Broken(hyper::Error),
    /// The connection failed, or the peer reset the stream, between the head of the response and its first byte.
    Interrupted(hyper::Error),
    /// The response is one that the client could read in another way than the proxy.
    BadAnswer(BadFraming),
    /// The response's head is longer than configured.
    HeadTooLarge,
    /// The client's body failed while it was sent.
    RequestBody(BodyError),
    /// The endpoint did not read the request's body.
    Stalled,
    /// The endpoint has as many connections and requests as it may.
    Exhausted,
    /// The connection is closed and takes no more requests.
    Closed,
}

/// What went wrong in connecting.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// TCP did not connect.
    Tcp(io::Error),
    /// HTTP did not begin.
    Handshake(hyper::Error),
    /// Neither happened within the connect timeout.
    Elapsed(std::time::Duration),
}

impl UpstreamError {
    /// The failure of a request that was written, in part at least.
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

    /// Whether the endpoint has provably not acted on the request, so that it may be sent again whatever it is.
    pub fn is_unsent(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Unsent(_) | Self::Closed | Self::Exhausted => true,
            // The peer refused the stream, or said goodbye before it.
            Self::Broken(error) => ErrorChain::class(error) == Class::Unsent,
            Self::Interrupted(_)
            | Self::BadAnswer(_)
            | Self::HeadTooLarge
            | Self::RequestBody(_)
            | Self::Stalled => false,
        }
    }
}

impl UpstreamError {
    /// Whether it is the client's fault, or that of this machine or its configuration, and not the endpoint's.
    pub fn is_ours(&self) -> bool {
        match self {
            Self::RequestBody(_) | Self::Exhausted => true,
            Self::Connect { source, .. } => source.is_local(),
            _ => false,
        }
    }
}

impl ConnectError {
    /// Whether it is this machine that lacks something, which says nothing of the endpoint.
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

/// No file descriptors for the process or the system, or no buffers.
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
            Self::Exhausted => f.write_str("the upstream has as many requests as it may"),
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
