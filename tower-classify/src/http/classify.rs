use std::time::SystemTime;

use http::{HeaderMap, Request, Response, StatusCode};

use super::code::{Code, CodeSet};
use super::content_type::is_grpc_or_web;
use super::pushback::{pushback, retry_after};
use super::status_set::StatusSet;
use crate::{BoxError, Class, Classify, ErrorChain, Failure, FailureKind, Pushback};

/// Classifies HTTP and gRPC responses.
///
/// | | class | transient | pushback |
/// |---|---|---|---|
/// | HTTP 5xx | failure: `Unavailable` for 502 and 503, `Timeout` for 504, otherwise `Internal` | 502, 503, 504 | `retry-after` |
/// | HTTP 429 | failure: `Overloaded` | with a `retry-after` | `retry-after` |
/// | gRPC UNAVAILABLE | failure: `Unavailable` | yes | `grpc-retry-pushback-ms` |
/// | gRPC RESOURCE_EXHAUSTED | failure: `Overloaded` | with a pushback | `grpc-retry-pushback-ms` |
/// | gRPC DEADLINE_EXCEEDED | failure: `Timeout` | no | `grpc-retry-pushback-ms` |
/// | gRPC INTERNAL, UNKNOWN, DATA_LOSS | failure: `Internal` | no | `grpc-retry-pushback-ms` |
/// | gRPC CANCELLED | ignored | | |
/// | everything else: 404, INVALID_ARGUMENT | success | | |
/// | errors | decided by `E`; by default [`ErrorChain`], which is for `BoxError` | | |
///
/// A call is gRPC if its request has a [gRPC `content-type`](super::is_grpc). A response without a `grpc-status` and with
/// an HTTP status other than 200 was sent by an intermediary. It is classified by the [corresponding
/// code](Code::of_http), with its `retry-after`; a 429 is `Overloaded` here too. A gRPC-Web call is classified as gRPC,
/// but its trailers are in the body.
///
/// # Trailers
///
/// The status of most gRPC calls is in the trailers, which arrive after the layers have returned the response.
/// Therefore [`Classify::classify`] treats a head with status 200 and without a `grpc-status` as a success. A layer
/// that reads the body calls [`head`](Self::head) and, if that returns `None`, [`trailers`](Self::trailers) at the end
/// of the body.
#[derive(Clone, Debug)]
pub struct HttpClassify<E = ErrorChain> {
    failures: StatusSet,
    transient: StatusSet,
    transient_with_pushback: StatusSet,
    grpc_failures: CodeSet,
    grpc_transient: CodeSet,
    grpc_transient_with_pushback: CodeSet,
    errors: E,
}

impl HttpClassify {
    /// Creates a classification with the rules of the table above, and [`ErrorChain`] for errors.
    pub fn new() -> Self {
        let server_errors = (500..600).filter_map(|status| StatusCode::from_u16(status).ok());
        let mut failures: StatusSet = server_errors.collect();
        failures.extend([StatusCode::TOO_MANY_REQUESTS]);
        Self {
            failures,
            transient: StatusSet::from_iter([
                StatusCode::BAD_GATEWAY,
                StatusCode::SERVICE_UNAVAILABLE,
                StatusCode::GATEWAY_TIMEOUT,
            ]),
            transient_with_pushback: StatusSet::from_iter([StatusCode::TOO_MANY_REQUESTS]),
            grpc_failures: CodeSet::from_iter([
                Code::Unknown,
                Code::DeadlineExceeded,
                Code::ResourceExhausted,
                Code::Internal,
                Code::Unavailable,
                Code::DataLoss,
            ]),
            grpc_transient: CodeSet::from_iter([Code::Unavailable]),
            grpc_transient_with_pushback: CodeSet::from_iter([Code::ResourceExhausted]),
            errors: ErrorChain,
        }
    }
}

impl<E> HttpClassify<E> {
    /// Sets the HTTP statuses that are failures: these and no others. By default 429 and 500 to 599.
    #[must_use]
    pub fn failures(mut self, statuses: impl IntoIterator<Item = StatusCode>) -> Self {
        self.failures = statuses.into_iter().collect();
        self
    }

    /// Sets the HTTP statuses after which another attempt may succeed, with or without a `retry-after`: these and no
    /// others. They are failures. By default 502, 503 and 504, and 429 if it has a `retry-after`.
    #[must_use]
    pub fn transient(mut self, statuses: impl IntoIterator<Item = StatusCode>) -> Self {
        self.transient = statuses.into_iter().collect();
        self.transient_with_pushback = StatusSet::empty();
        self
    }

    /// Adds HTTP statuses to those after which another attempt may succeed.
    #[must_use]
    pub fn add_transient(mut self, statuses: impl IntoIterator<Item = StatusCode>) -> Self {
        self.transient.extend(statuses);
        self
    }

    /// Sets the gRPC codes that are failures: these and no others. By default UNKNOWN, DEADLINE_EXCEEDED,
    /// RESOURCE_EXHAUSTED, INTERNAL, UNAVAILABLE and DATA_LOSS.
    #[must_use]
    pub fn grpc_failures(mut self, codes: impl IntoIterator<Item = Code>) -> Self {
        self.grpc_failures = codes.into_iter().collect();
        self
    }

    /// Sets the gRPC codes after which another attempt may succeed: these and no others. They are failures. By default
    /// UNAVAILABLE, and RESOURCE_EXHAUSTED if it has a pushback.
    #[must_use]
    pub fn grpc_transient(mut self, codes: impl IntoIterator<Item = Code>) -> Self {
        self.grpc_transient = codes.into_iter().collect();
        self.grpc_transient_with_pushback = CodeSet::default();
        self
    }

    /// Adds gRPC codes to those after which another attempt may succeed.
    #[must_use]
    pub fn add_grpc_transient(mut self, codes: impl IntoIterator<Item = Code>) -> Self {
        self.grpc_transient.extend(codes);
        self
    }

    /// Sets how errors are classified: a closure `Fn(&Error) -> Class`, or a type of your own.
    ///
    /// For the client of hyper-util, whose errors have a method that returns whether connecting failed:
    ///
    /// ```
    /// use tower_classify::http::HttpClassify;
    /// use tower_classify::{Class, FailureKind};
    /// # struct Error; impl Error { fn is_connect(&self) -> bool { true } }
    ///
    /// let classify = HttpClassify::new().errors(|error: &Error| match error.is_connect() {
    ///     true => Class::Unsent,
    ///     false => Class::failure(FailureKind::Disconnected),
    /// });
    /// ```
    #[must_use]
    pub fn errors<F>(self, errors: F) -> HttpClassify<F> {
        HttpClassify {
            failures: self.failures,
            transient: self.transient,
            transient_with_pushback: self.transient_with_pushback,
            grpc_failures: self.grpc_failures,
            grpc_transient: self.grpc_transient,
            grpc_transient_with_pushback: self.grpc_transient_with_pushback,
            errors,
        }
    }

    /// Classifies the head of a response. Returns `None` for a gRPC response whose status is in the trailers.
    #[inline]
    pub fn head(&self, is_grpc: bool, status: StatusCode, headers: &HeaderMap) -> Option<Class> {
        if !is_grpc {
            return Some(self.status(status, headers));
        }
        match Code::of(headers) {
            Some(code) => Some(self.code(code, pushback(headers))),
            None if status == StatusCode::OK => None,
            None => Some(
                match self.code(Code::of_http(status), http_pushback(headers)) {
                    // The code is UNAVAILABLE; the status says more.
                    Class::Failure(failure) if status == StatusCode::TOO_MANY_REQUESTS => {
                        Class::Failure(failure.of_kind(FailureKind::Overloaded))
                    }
                    class => class,
                },
            ),
        }
    }

    /// Classifies an error of the service, as set by [`errors`](Self::errors).
    #[inline]
    pub fn error<F>(&self, error: &F) -> Class
    where
        E: ClassifyError<F>,
    {
        self.errors.classify_error(error)
    }

    /// Classifies the end of a gRPC response by its trailers, or `None` if it has none. A response without a
    /// `grpc-status` has code UNKNOWN.
    pub fn trailers(&self, trailers: Option<&HeaderMap>) -> Class {
        let code = trailers.and_then(Code::of).unwrap_or(Code::Unknown);
        self.code(code, trailers.and_then(pushback))
    }

    fn status(&self, status: StatusCode, headers: &HeaderMap) -> Class {
        if !self.failures.contains(status) && !self.transient.contains(status) {
            return Class::Success;
        }
        let kind = match status {
            StatusCode::TOO_MANY_REQUESTS => FailureKind::Overloaded,
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE => FailureKind::Unavailable,
            StatusCode::GATEWAY_TIMEOUT => FailureKind::Timeout,
            _ => FailureKind::Internal,
        };
        let pushback = http_pushback(headers);
        let transient = self.transient.contains(status)
            || (pushback.is_some() && self.transient_with_pushback.contains(status));
        let failure = Failure::new(kind).transient(transient);
        Class::Failure(failure.with_pushback(pushback))
    }

    fn code(&self, code: Code, pushback: Option<Pushback>) -> Class {
        if !self.grpc_failures.contains(code) && !self.grpc_transient.contains(code) {
            return match code {
                Code::Cancelled => Class::Ignored,
                _ => Class::Success,
            };
        }
        let kind = match code {
            Code::Unavailable => FailureKind::Unavailable,
            Code::ResourceExhausted => FailureKind::Overloaded,
            Code::DeadlineExceeded => FailureKind::Timeout,
            _ => FailureKind::Internal,
        };
        let transient = self.grpc_transient.contains(code)
            || (pushback.is_some() && self.grpc_transient_with_pushback.contains(code));
        Class::Failure(
            Failure::new(kind)
                .transient(transient)
                .with_pushback(pushback),
        )
    }
}

impl Default for HttpClassify {
    fn default() -> Self {
        Self::new()
    }
}

impl<E, B, R, C> Classify<Request<B>, Response<R>, E> for HttpClassify<C>
where
    C: ClassifyError<E>,
{
    /// Whether the call is gRPC or gRPC-Web.
    type Info = bool;

    #[inline]
    fn info(&self, request: &Request<B>) -> bool {
        is_grpc_or_web(request.headers())
    }

    #[inline]
    fn classify(&self, is_grpc: &bool, result: Result<&Response<R>, &E>) -> Class {
        match result {
            Ok(response) => self
                .head(*is_grpc, response.status(), response.headers())
                .unwrap_or(Class::Success),
            Err(error) => self.error(error),
        }
    }
}

/// Returns the pushback of an HTTP response.
fn http_pushback(headers: &HeaderMap) -> Option<Pushback> {
    retry_after(headers, SystemTime::now).map(Pushback::After)
}

/// Classifies errors for [`HttpClassify`]. Closures `Fn(&E) -> Class` implement it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not classify errors of type `{E}`",
    note = "classify them with `.errors(|error: &{E}| ...)`, or box them: `map_err(BoxError::from)`"
)]
pub trait ClassifyError<E> {
    /// Returns the class of a request that ended in this error and has no response.
    fn classify_error(&self, error: &E) -> Class;
}

impl ClassifyError<BoxError> for ErrorChain {
    fn classify_error(&self, error: &BoxError) -> Class {
        Self::class(error.as_ref())
    }
}

/// An `Infallible` error never occurs.
impl ClassifyError<std::convert::Infallible> for ErrorChain {
    fn classify_error(&self, error: &std::convert::Infallible) -> Class {
        match *error {}
    }
}

impl<F, E> ClassifyError<E> for F
where
    F: Fn(&E) -> Class,
{
    fn classify_error(&self, error: &E) -> Class {
        self(error)
    }
}
