//! Why the proxy itself answers a request, and with what.

use std::error::Error;
use std::fmt;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
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
use crate::transport::trailers::TrailersTooLarge;
use crate::transport::upload::BodyError;
use crate::upstream::UpstreamError;

/// Why the proxy itself answers, with the two statuses that say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No route takes the request.
    NoRoute,
    /// The request cannot be forwarded as it is.
    Unsupported,
    /// It is for no host, or for more than one.
    BadTarget(BadTarget),
    /// Its path has no normal form.
    BadPath,
    /// Where its body ends is not clear, or its content not what it seems.
    BadFraming(BadFraming),
    /// Its head is longer than configured.
    HeadTooLarge,
    /// It has been here before.
    Loop,
    /// The route has as many requests under way as it may.
    Overloaded,
    /// No endpoint of the cluster is ready.
    Unavailable,
    /// The connection broke half-way.
    BadGateway,
    /// The upstream's answer is none, or may be read in more than one way.
    BadAnswer,
    /// The head of the upstream's answer is longer than configured.
    AnswerTooLarge,
    /// The route's timeout passed, or the client's.
    Timeout,
    /// The client's body did not come in time.
    RequestTimeout,
    /// The client's body breaks the rules of its protocol, or stopped before its end.
    MalformedBody,
    /// The client's trailers are too long.
    LongTrailers,
    /// The upstream does not read the request.
    UpstreamStalled,
    /// The client's timeout makes no sense.
    InvalidTimeout,
    /// The response took too long after its head.
    ResponseTimeout,
    /// The response broke off after its head.
    ResponseBroken,
}

impl From<BadPath> for Failure {
    fn from(_: BadPath) -> Self {
        Self::BadPath
    }
}

impl Failure {
    /// Reads the error of a route's stack.
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

    /// Reads the error of a response's body.
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

    /// The HTTP status, also where a client of gRPC gets 200 and its own status.
    pub fn status(self) -> StatusCode {
        self.terms().0
    }

    /// The gRPC code, and its message.
    pub fn grpc_status(self) -> (Code, &'static str) {
        let (_, code, message) = self.terms();
        (code, message)
    }

    /// The HTTP status, the gRPC code, and a sentence for either.
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
                "the proxy knows no transfer coding but chunked",
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
                "the request has been here before",
            ),
            Self::Overloaded => (
                StatusCode::SERVICE_UNAVAILABLE,
                Code::Unavailable,
                "too many requests in flight on this route",
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
                "the request's body did not come in time",
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

    /// The answer: to a gRPC or gRPC-Web client a status in the headers alone, to others a short plain text.
    pub fn response(self, dialect: Dialect) -> Response<Bytes> {
        let (status, code, message) = self.terms();
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
            // gRPC over HTTP/2, "Trailers-Only": HTTP status 200, and the outcome in the one block of headers.
            headers.insert("grpc-status", HeaderValue::from(u16::from(code.number())));
            headers.insert("grpc-message", HeaderValue::from_static(message));
        }
        if matches!(self, Self::BadFraming(_)) {
            // What follows on the connection may be of this request or another.
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
