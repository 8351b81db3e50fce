//! From an error of the stack to the answer that the client gets.

use std::error::Error;

use http::{HeaderValue, Response, StatusCode, header};
use tower::BoxError;
use tower::buffer::fail_fast::Unavailable;
use tower::load_shed::error::Overloaded;
use tower::timeout::error::{DeadlineExceeded, Elapsed};
use tower::timeout::http::{BodyTimedOut, InvalidTimeout};

use crate::body::ResponseBody;
use crate::dialect::Dialect;
use crate::upstream::UpstreamError;

/// Finds an error of type `E` in `error` or in its chain of sources.
pub fn cause_of<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// Why the proxy itself answers, with the two statuses that say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No route takes the request.
    NoRoute,
    /// The request cannot be forwarded as it is.
    Unsupported,
    /// The route has as many requests under way as it may.
    Overloaded,
    /// No endpoint of the cluster is ready.
    Unavailable,
    /// The connection broke half-way.
    BadGateway,
    /// The route's timeout passed, or the client's.
    Timeout,
    /// The client's body did not come in time. (If he has gone instead, nobody reads it.)
    RequestTimeout,
    /// The client's timeout makes no sense.
    InvalidTimeout,
    /// The response took too long after its head.
    ResponseTimeout,
    /// The response broke off after its head.
    ResponseBroken,
}

impl Failure {
    /// Reads the error of a route's stack.
    pub fn of(error: &BoxError) -> Self {
        let error: &(dyn Error + 'static) = error.as_ref();
        if cause_of::<DeadlineExceeded>(error).is_some() || cause_of::<Elapsed>(error).is_some() {
            Self::Timeout
        } else if cause_of::<InvalidTimeout>(error).is_some() {
            Self::InvalidTimeout
        } else if cause_of::<Overloaded>(error).is_some() {
            Self::Overloaded
        } else if cause_of::<Unavailable>(error).is_some() {
            Self::Unavailable
        } else {
            match cause_of::<UpstreamError>(error) {
                Some(UpstreamError::RequestBody(_)) => Self::RequestTimeout,
                Some(upstream) if !upstream.is_unsent() => Self::BadGateway,
                _ => Self::Unavailable,
            }
        }
    }

    /// Reads the error of a response's body.
    pub fn of_body(error: &BoxError) -> Self {
        let error: &(dyn Error + 'static) = error.as_ref();
        let is_late = cause_of::<DeadlineExceeded>(error).is_some()
            || cause_of::<BodyTimedOut>(error).is_some();
        match is_late {
            true => Self::ResponseTimeout,
            false => Self::ResponseBroken,
        }
    }

    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::NoRoute,
        Self::Unsupported,
        Self::Overloaded,
        Self::Unavailable,
        Self::BadGateway,
        Self::Timeout,
        Self::RequestTimeout,
        Self::InvalidTimeout,
        Self::ResponseTimeout,
        Self::ResponseBroken,
    ];

    /// Its name in the metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NoRoute => "no_route",
            Self::Unsupported => "unsupported",
            Self::Overloaded => "overloaded",
            Self::Unavailable => "unavailable",
            Self::BadGateway => "upstream_broke",
            Self::Timeout => "timeout",
            Self::RequestTimeout => "request_timeout",
            Self::InvalidTimeout => "invalid_timeout",
            Self::ResponseTimeout => "response_timeout",
            Self::ResponseBroken => "response_broke",
        }
    }

    /// The HTTP status, also where a client of gRPC gets 200 and its own status.
    pub fn status(self) -> StatusCode {
        self.terms().0
    }

    /// The gRPC status, and its message.
    pub fn grpc_status(self) -> (u8, &'static str) {
        let (_, status, message) = self.terms();
        (status, message)
    }

    /// The HTTP status, the gRPC status (of `google.rpc.Code`), and a sentence for either.
    fn terms(self) -> (StatusCode, u8, &'static str) {
        match self {
            Self::NoRoute => (StatusCode::NOT_FOUND, 12, "no route for this host and path"),
            Self::Unsupported => (
                StatusCode::NOT_IMPLEMENTED,
                12,
                "the proxy does not forward this method",
            ),
            Self::Overloaded => (
                StatusCode::SERVICE_UNAVAILABLE,
                14,
                "too many requests in flight on this route",
            ),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                14,
                "no upstream is available",
            ),
            Self::BadGateway | Self::ResponseBroken => (
                StatusCode::BAD_GATEWAY,
                14,
                "the upstream broke the connection",
            ),
            Self::Timeout | Self::ResponseTimeout => (
                StatusCode::GATEWAY_TIMEOUT,
                4,
                "the upstream did not answer in time",
            ),
            Self::RequestTimeout => (
                StatusCode::REQUEST_TIMEOUT,
                4,
                "the request's body did not come in time",
            ),
            Self::InvalidTimeout => (
                StatusCode::BAD_REQUEST,
                13,
                "the timeout in the request's headers cannot be read",
            ),
        }
    }

    /// The answer: to a gRPC or gRPC-Web client a status in the headers alone, to others a short plain text.
    pub fn response(self, dialect: Dialect) -> Response<ResponseBody> {
        let (status, grpc_status, message) = self.terms();
        let Some(content_type) = dialect.grpc_content_type() else {
            let mut response = Response::new(ResponseBody::own(format!("{message}\n")));
            *response.status_mut() = status;
            let plain = HeaderValue::from_static("text/plain; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, plain);
            return response;
        };
        // gRPC over HTTP/2, "Trailers-Only": HTTP status 200, and the outcome in the one block of headers.
        let mut response = Response::new(ResponseBody::own(String::new()));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, content_type);
        headers.insert("grpc-status", HeaderValue::from(u16::from(grpc_status)));
        headers.insert("grpc-message", HeaderValue::from_static(message));
        response
    }
}
