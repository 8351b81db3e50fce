use std::{error, fmt, io};

use crate::config::Endpoint;
use crate::framing::BadFraming;

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
    /// The client's body failed while it was sent: he went away, or took too long.
    RequestBody(hyper::Error),
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
    pub(super) fn sent(error: hyper::Error) -> Self {
        if is_request_body(&error) {
            Self::RequestBody(error)
        } else if error.is_parse_too_large() {
            Self::HeadTooLarge
        } else {
            Self::Broken(error)
        }
    }

    /// Whether the endpoint has provably not acted on the request, so that it may be sent again whatever it is.
    pub fn is_unsent(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Unsent(_) | Self::Closed => true,
            Self::Broken(error) => is_refused(error),
            Self::Interrupted(_)
            | Self::BadAnswer(_)
            | Self::HeadTooLarge
            | Self::RequestBody(_) => false,
        }
    }
}

fn h2_error(error: &hyper::Error) -> Option<&h2::Error> {
    error::Error::source(error)?.downcast_ref()
}

/// Whether the body was at fault, and neither the connection nor the peer. Over HTTP/2, hyper resets the stream then.
fn is_request_body(error: &hyper::Error) -> bool {
    let reset_by_hyper = |h2: &h2::Error| {
        h2.is_reset() && !h2.is_remote() && h2.reason() == Some(h2::Reason::INTERNAL_ERROR)
    };
    error.is_user() || h2_error(error).is_some_and(reset_by_hyper)
}

/// Whether an HTTP/2 peer said that it did not process the stream: REFUSED_STREAM (RFC 9113, 8.7), or a graceful
/// GOAWAY whose last stream is below this one (6.8).
fn is_refused(error: &hyper::Error) -> bool {
    h2_error(error).is_some_and(|h2| {
        (h2.is_remote() && h2.reason() == Some(h2::Reason::REFUSED_STREAM))
            || (h2.is_go_away() && h2.is_remote() && h2.reason() == Some(h2::Reason::NO_ERROR))
    })
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
            Self::Closed => f.write_str("the upstream connection is closed"),
        }
    }
}

impl error::Error for UpstreamError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Connect { source, .. } => Some(source),
            Self::Unsent(error)
            | Self::Broken(error)
            | Self::Interrupted(error)
            | Self::RequestBody(error) => Some(error),
            Self::BadAnswer(bad) => Some(bad),
            Self::HeadTooLarge | Self::Closed => None,
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
