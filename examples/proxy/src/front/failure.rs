//! The reasons for which the proxy itself responds to a request, and the responses.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use tower::BoxError;
use tower::classify::http::Code;
use tower::classify::{RefusalKind, cause_ref, refusal};
use tower::timeout::error::DeadlineExceeded;
use tower::timeout::http::{BodyTimedOut, InvalidTimeout};

use crate::front::headers::authority::BadTarget;
use crate::front::headers::path::BadPath;
use crate::front::protocol::Dialect;
use crate::front::upload::BodyFailure;
use crate::transport::framing::BadFraming;
use crate::transport::headers::GRPC_STATUS;
use crate::transport::trailers::TrailersTooLarge;
use crate::transport::upload::BodyError;
use crate::upstream::UpstreamError;

/// The reason for a response of the proxy's own, with its HTTP status and gRPC code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No route matches the request.
    NoRoute,
    /// The proxy does not support forwarding the request.
    Unsupported,
    /// The request has no valid host, or more than one.
    BadTarget(BadTarget),
    /// The request's path has no normal form.
    BadPath,
    /// The framing of the request's body is ambiguous or invalid.
    BadFraming(BadFraming),
    /// The request's head is larger than configured.
    HeadTooLarge,
    /// The request has passed through this proxy before.
    Loop,
    /// The route's limit of in-flight requests is reached.
    Overloaded,
    /// The client, or all clients of the route together, send too many requests. With the time after which one is
    /// admitted, if that is known.
    RateLimited(Option<Duration>),
    /// No endpoint of the cluster is ready.
    Unavailable,
    /// The connection to the upstream broke before the response was complete.
    BadGateway,
    /// The upstream's response is malformed or ambiguous.
    BadAnswer,
    /// The head of the upstream's response is larger than configured.
    AnswerTooLarge,
    /// The route's timeout or the client's deadline has passed.
    Timeout,
    /// The client's body did not arrive in time.
    RequestTimeout,
    /// The client's body violates its protocol, or ended early.
    MalformedBody,
    /// The client's trailers are too long.
    LongTrailers,
    /// The upstream does not read the request's body.
    UpstreamStalled,
    /// The timeout in the client's headers is invalid.
    InvalidTimeout,
    /// The response took too long after its head.
    ResponseTimeout,
    /// The response ended early, after its head.
    ResponseBroken,
}

impl From<BadPath> for Failure {
    fn from(_: BadPath) -> Self {
        Self::BadPath
    }
}

impl Failure {
    /// Returns the failure that an error of a route's stack stands for.
    pub fn of(error: &BoxError) -> Self {
        let error: &(dyn Error + 'static) = error.as_ref();
        if let Some(failure) = cause_ref::<Self>(error) {
            *failure
        } else if let Some(failure) = cause_ref::<BodyFailure>(error) {
            Self::of_upload(*failure)
        } else if let Some(error) = cause_ref::<BodyError>(error) {
            Self::of_upload(BodyFailure::of(error))
        } else if cause_ref::<InvalidTimeout>(error).is_some() {
            Self::InvalidTimeout
        } else if let Some(refusal) = refusal(error) {
            match refusal.kind() {
                RefusalKind::Elapsed | RefusalKind::DeadlineExceeded => Self::Timeout,
                RefusalKind::Overloaded => Self::Overloaded,
                RefusalKind::RateLimited => Self::RateLimited(refusal.retry_after()),
                _ => Self::Unavailable,
            }
        } else {
            match cause_ref::<UpstreamError>(error) {
                Some(UpstreamError::Stalled) => Self::UpstreamStalled,
                Some(UpstreamError::BadAnswer(_)) => Self::BadAnswer,
                Some(UpstreamError::HeadTooLarge) => Self::AnswerTooLarge,
                Some(upstream) if !upstream.is_unsent() => Self::BadGateway,
                _ => Self::Unavailable,
            }
        }
    }

    const fn of_upload(failure: BodyFailure) -> Self {
        match failure {
            BodyFailure::TimedOut(_) => Self::RequestTimeout,
            BodyFailure::LongTrailers => Self::LongTrailers,
            BodyFailure::Malformed | BodyFailure::Incomplete => Self::MalformedBody,
        }
    }

    /// Returns the failure that an error of a response's body stands for.
    pub fn of_body(error: &BoxError) -> Self {
        let error: &(dyn Error + 'static) = error.as_ref();
        let is_late = cause_ref::<DeadlineExceeded>(error).is_some()
            || cause_ref::<BodyTimedOut>(error).is_some();
        if is_late {
            Self::ResponseTimeout
        } else if cause_ref::<TrailersTooLarge>(error).is_some() {
            Self::AnswerTooLarge
        } else {
            Self::ResponseBroken
        }
    }

    /// Returns its name in the metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NoRoute => "no_route",
            Self::Unsupported => "unsupported",
            Self::Overloaded => "overloaded",
            Self::RateLimited(_) => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::BadGateway => "upstream_broke",
            Self::Timeout => "timeout",
            Self::RequestTimeout => "request_timeout",
            Self::InvalidTimeout => "invalid_timeout",
            Self::ResponseTimeout => "response_timeout",
            Self::ResponseBroken => "response_broke",
            Self::BadTarget(_) => "bad_target",
            Self::BadPath => "bad_path",
            Self::BadFraming(_) => "bad_framing",
            Self::HeadTooLarge => "head_too_large",
            Self::Loop => "loop",
            Self::BadAnswer => "bad_answer",
            Self::AnswerTooLarge => "answer_too_large",
            Self::MalformedBody => "malformed_body",
            Self::LongTrailers => "trailers_too_large",
            Self::UpstreamStalled => "upstream_stalled",
        }
    }

    /// Returns the HTTP status. It is what the metrics show, also where a gRPC client gets 200 and a gRPC status.
    pub fn status(self) -> StatusCode {
        self.terms().0
    }

    /// Writes the gRPC status and its message, into trailers or into the headers of a response without a body.
    pub fn write_grpc_status(self, fields: &mut HeaderMap) {
        let (_, code, message) = self.terms();
        fields.insert(GRPC_STATUS, HeaderValue::from(u16::from(code.number())));
        fields.insert(GRPC_MESSAGE, HeaderValue::from_static(message));
    }

    /// Returns the HTTP status, the gRPC code, and a message for either.
    fn terms(self) -> (StatusCode, Code, &'static str) {
        match self {
            Self::NoRoute => (
                StatusCode::NOT_FOUND,
                Code::Unimplemented,
                "no route for this host and path",
            ),
            Self::Unsupported => (
                StatusCode::NOT_IMPLEMENTED,
                Code::Unimplemented,
                "the proxy does not forward this method",
            ),
            Self::BadTarget(bad) => (StatusCode::BAD_REQUEST, Code::Internal, bad.as_str()),
            Self::BadPath => (
                StatusCode::BAD_REQUEST,
                Code::Internal,
                "the request's path is invalid",
            ),
            Self::BadFraming(BadFraming::UnknownCoding) => (
                StatusCode::NOT_IMPLEMENTED,
                Code::Unimplemented,
                "the proxy supports no transfer coding but chunked",
            ),
            Self::BadFraming(_) => (
                StatusCode::BAD_REQUEST,
                Code::Internal,
                "the request's framing is invalid",
            ),
            Self::HeadTooLarge => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                Code::ResourceExhausted,
                "the request's head is too large",
            ),
            Self::Loop => (
                StatusCode::LOOP_DETECTED,
                Code::Internal,
                "the request has passed through this proxy before",
            ),
            Self::Overloaded => (
                StatusCode::SERVICE_UNAVAILABLE,
                Code::Unavailable,
                "too many requests in flight on this route",
            ),
            Self::RateLimited(_) => (
                StatusCode::TOO_MANY_REQUESTS,
                Code::ResourceExhausted,
                "too many requests",
            ),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                Code::Unavailable,
                "no upstream is available",
            ),
            Self::BadGateway | Self::ResponseBroken => (
                StatusCode::BAD_GATEWAY,
                Code::Unavailable,
                "the upstream broke the connection",
            ),
            Self::BadAnswer => (
                StatusCode::BAD_GATEWAY,
                Code::Internal,
                "the upstream's answer is malformed",
            ),
            Self::AnswerTooLarge => (
                StatusCode::BAD_GATEWAY,
                Code::Internal,
                "the head of the upstream's answer is too large",
            ),
            Self::Timeout | Self::ResponseTimeout => (
                StatusCode::GATEWAY_TIMEOUT,
                Code::DeadlineExceeded,
                "the upstream did not answer in time",
            ),
            Self::RequestTimeout => (
                StatusCode::REQUEST_TIMEOUT,
                Code::DeadlineExceeded,
                "the request's body did not arrive in time",
            ),
            Self::MalformedBody => (
                StatusCode::BAD_REQUEST,
                Code::Internal,
                "the request's body is malformed",
            ),
            Self::LongTrailers => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                Code::ResourceExhausted,
                "the request's trailers are too long",
            ),
            Self::UpstreamStalled => (
                StatusCode::GATEWAY_TIMEOUT,
                Code::Unavailable,
                "the upstream does not read the request",
            ),
            Self::InvalidTimeout => (
                StatusCode::BAD_REQUEST,
                Code::Internal,
                "the timeout in the request's headers cannot be read",
            ),
        }
    }

    /// Returns the response: for gRPC and gRPC-Web clients the status in the headers alone, for others a short plain
    /// text.
    pub fn response(self, dialect: Dialect) -> Response<Bytes> {
        let (status, _, message) = self.terms();
        let mut response = Response::new(match dialect {
            Dialect::Http => Bytes::from(format!("{message}\n")),
            _ => Bytes::new(),
        });
        if dialect == Dialect::Http {
            *response.status_mut() = status;
        }
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, dialect.content_type());
        if dialect != Dialect::Http {
            // gRPC over HTTP/2, "Trailers-Only": HTTP status 200, and the gRPC status in the only header block.
            self.write_grpc_status(headers);
        }
        if let Self::RateLimited(Some(after)) = self {
            let (name, value) = match dialect {
                // Whole seconds, and not before a request is admitted.
                Dialect::Http => (header::RETRY_AFTER, after.as_millis().div_ceil(1000)),
                _ => (GRPC_RETRY_PUSHBACK, after.as_nanos().div_ceil(1_000_000)),
            };
            let value = u64::try_from(value).unwrap_or(u64::MAX);
            headers.insert(name, HeaderValue::from(value));
        }
        if matches!(self, Self::BadFraming(_)) {
            // The rest of the stream is ambiguous: it may belong to this request or be another one.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, _, message) = self.terms();
        f.write_str(message)
    }
}

impl Error for Failure {}

const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_RETRY_PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");
