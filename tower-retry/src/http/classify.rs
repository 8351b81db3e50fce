use std::error::Error;
use std::fmt;
use std::marker::PhantomData;
use std::time::{Duration, SystemTime};

use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use tokio::time::Instant;
use tower_timeout::Deadline;
use tower_timeout::error::DeadlineExceeded;

use super::grpc::{Code, Pushback, count_attempts, is_grpc};
use super::peek::PeekBody;
use super::replay::ReplayBody;
use super::retry_after::retry_after;
use crate::{BoxError, Builder, Classify, Verdict};

/// Judges answers of HTTP and gRPC; see the [module](super) for its rules.
#[derive(Clone, Debug)]
pub struct HttpClassify<J = ErrorChain> {
    methods: Vec<Method>,
    idempotency_key: bool,
    statuses: Vec<StatusCode>,
    /// Those after which a request is sent again if the answer has a `retry-after`.
    statuses_if_told: Vec<StatusCode>,
    grpc_codes: Vec<Code>,
    retry_after_max: Duration,
    replay_limit: usize,
    errors: J,
}

impl HttpClassify {
    pub(super) fn new() -> Self {
        Self {
            methods: vec![
                Method::GET,
                Method::HEAD,
                Method::OPTIONS,
                Method::TRACE,
                Method::PUT,
                Method::DELETE,
            ],
            idempotency_key: true,
            statuses: vec![
                StatusCode::BAD_GATEWAY,
                StatusCode::SERVICE_UNAVAILABLE,
                StatusCode::GATEWAY_TIMEOUT,
            ],
            statuses_if_told: vec![StatusCode::TOO_MANY_REQUESTS],
            grpc_codes: vec![Code::Unavailable],
            retry_after_max: Duration::from_secs(30),
            replay_limit: 64 * 1024,
            errors: ErrorChain,
        }
    }
}

impl<J> HttpClassify<J> {
    pub(super) fn replay_limit(&self) -> usize {
        self.replay_limit
    }

    fn may_be_repeated<B>(&self, request: &Request<B>) -> bool {
        self.methods.contains(request.method())
            || (self.idempotency_key && request.headers().contains_key("idempotency-key"))
    }

    fn judge_http<B, R>(&self, request: &Request<B>, response: &Response<R>) -> Verdict {
        let status = response.status();
        let told = || retry_after(response.headers(), SystemTime::now);
        let retries = self.statuses.contains(&status)
            || (self.statuses_if_told.contains(&status) && told().is_some());
        if !retries {
            return match status.is_server_error() {
                true => Verdict::Failure,
                false => Verdict::Success,
            };
        }
        if !self.may_be_repeated(request) {
            return Verdict::Failure;
        }
        match told() {
            None => Verdict::Retry,
            Some(wait) if wait <= self.retry_after_max => Verdict::RetryAfter(wait),
            Some(_) => Verdict::Refused,
        }
    }

    fn judge_grpc<R: Body>(&self, response: &Response<PeekBody<R>>) -> Verdict {
        let headers = match Code::of(response.headers()) {
            Some(_) => response.headers(),
            None => response
                .body()
                .trailers()
                .unwrap_or_else(|| response.headers()),
        };
        let (code, told) = match Code::of(headers) {
            Some(code) => (code, None),
            // Without a status and without a message, it is no answer.
            None if response.body().is_broken() => (Code::Unknown, None),
            // Somebody on the way has answered who does not know gRPC.
            None => (
                Code::of_http(response.status()),
                retry_after(response.headers(), SystemTime::now),
            ),
        };
        if code == Code::Ok {
            return Verdict::Success;
        }
        if !self.grpc_codes.contains(&code) {
            return Verdict::Failure;
        }
        match Pushback::of(headers).or_else(|| told.map(Pushback::After)) {
            None => Verdict::Retry,
            Some(Pushback::After(wait)) if wait <= self.retry_after_max => {
                Verdict::RetryAfter(wait)
            }
            Some(Pushback::After(_) | Pushback::Never) => Verdict::Refused,
        }
    }
}

impl<B, R, E, J> Classify<Request<ReplayBody<B>>, Response<PeekBody<R>>, E> for HttpClassify<J>
where
    R: Body,
    J: JudgeError<E>,
{
    fn classify(
        &self,
        request: &Request<ReplayBody<B>>,
        result: Result<&Response<PeekBody<R>>, &E>,
    ) -> Verdict {
        match result {
            Ok(response) if is_grpc(request.headers()) => self.judge_grpc(response),
            Ok(response) => self.judge_http(request, response),
            Err(error) => match self.errors.judge(error) {
                ErrorKind::Unsent => Verdict::Unsent,
                ErrorKind::Broken if self.may_be_repeated(request) => Verdict::Retry,
                ErrorKind::Broken | ErrorKind::Final => Verdict::Failure,
            },
        }
    }

    fn clone_request(&self, request: &Request<ReplayBody<B>>) -> Option<Request<ReplayBody<B>>> {
        let mut clone = Request::new(request.body().try_clone()?);
        *clone.method_mut() = request.method().clone();
        *clone.uri_mut() = request.uri().clone();
        *clone.version_mut() = request.version();
        *clone.headers_mut() = request.headers().clone();
        *clone.extensions_mut() = request.extensions().clone();
        Some(clone)
    }

    fn is_sendable(&self, request: &Request<ReplayBody<B>>) -> bool {
        request.body().is_replayable()
    }

    fn deadline(&self, request: &Request<ReplayBody<B>>) -> Option<Instant> {
        request.extensions().get().copied().map(Deadline::instant)
    }

    fn prepare(&self, request: &mut Request<ReplayBody<B>>) -> bool {
        if is_grpc(request.headers()) {
            count_attempts(request.headers_mut(), 1);
        }
        // The attempt that has failed must not read on, or there would soon be nothing left to send.
        request.body().claim()
    }
}

impl<J, T> Builder<HttpClassify<J>, T> {
    /// The methods whose requests may be repeated: these and no others. By default GET, HEAD, OPTIONS, TRACE, PUT and
    /// DELETE.
    #[must_use]
    pub fn methods(self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.set(|http| http.methods = methods.into_iter().collect())
    }

    /// More [`methods`](Self::methods) whose requests may be repeated, beside those that are set.
    #[must_use]
    pub fn add_methods(self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.set(|http| http.methods.extend(methods))
    }

    /// Whether a request with the header `idempotency-key` may be repeated, whatever its method. By default it may.
    #[must_use]
    pub fn idempotency_key(self, repeats: bool) -> Self {
        self.set(|http| http.idempotency_key = repeats)
    }

    /// The statuses after which a request is sent again, whether or not they come with a `retry-after`: these and no others.
    ///
    /// By default 502, 503 and 504, and 429 if it comes with a `retry-after`: without one, a server that has too many requests
    /// does not say that more are of any use. To keep these, and have others beside them, use
    /// [`add_statuses`](Self::add_statuses).
    ///
    /// ```
    /// use http::StatusCode;
    /// use tower_retry::RetryPolicy;
    ///
    /// // 503 alone.
    /// let policy = RetryPolicy::http().statuses([StatusCode::SERVICE_UNAVAILABLE]);
    /// // The defaults, and 408.
    /// let policy = RetryPolicy::http().add_statuses([StatusCode::REQUEST_TIMEOUT]);
    /// # let _ = policy;
    /// ```
    #[must_use]
    pub fn statuses(self, statuses: impl IntoIterator<Item = StatusCode>) -> Self {
        self.set(|http| {
            http.statuses = statuses.into_iter().collect();
            http.statuses_if_told.clear();
        })
    }

    /// More [`statuses`](Self::statuses) after which a request is sent again, beside those that are set: 408 and 425 make
    /// sense, and 429 for servers that send no `retry-after` with it.
    #[must_use]
    pub fn add_statuses(self, statuses: impl IntoIterator<Item = StatusCode>) -> Self {
        self.set(|http| http.statuses.extend(statuses))
    }

    /// The codes of gRPC after which a call is sent again: these and no others. By default UNAVAILABLE.
    #[must_use]
    pub fn grpc_codes(self, codes: impl IntoIterator<Item = Code>) -> Self {
        self.set(|http| http.grpc_codes = codes.into_iter().collect())
    }

    /// More [`grpc_codes`](Self::grpc_codes) after which a call is sent again, beside those that are set.
    #[must_use]
    pub fn add_grpc_codes(self, codes: impl IntoIterator<Item = Code>) -> Self {
        self.set(|http| http.grpc_codes.extend(codes))
    }

    /// The longest `retry-after` or `grpc-retry-pushback-ms` that is waited for; over it the answer goes to the caller. By
    /// default 30 seconds.
    #[must_use]
    pub fn retry_after_max(self, max: Duration) -> Self {
        self.set(|http| http.retry_after_max = max)
    }

    /// How many bytes of a body are kept to be sent again. By default 64 KiB.
    #[must_use]
    pub fn replay_limit(self, bytes: usize) -> Self {
        self.set(|http| http.replay_limit = bytes)
    }

    /// Says what the errors of the service mean. By default [`ErrorChain`], which is for `BoxError`.
    ///
    /// For the client of hyper-util, whose errors tell whether there was a connection:
    ///
    /// ```
    /// use hyper_util::client::legacy::Error;
    /// use tower_retry::RetryPolicy;
    /// use tower_retry::http::ErrorKind;
    ///
    /// let policy = RetryPolicy::http()
    ///     .errors(|error: &Error| match error.is_connect() {
    ///         true => ErrorKind::Unsent,
    ///         false => ErrorKind::Broken,
    ///     })
    ///     .build();
    /// ```
    #[must_use]
    pub fn errors<F, E>(self, judge: F) -> Builder<HttpClassify<JudgeWith<F, E>>, T>
    where
        F: Fn(&E) -> ErrorKind,
    {
        self.judge_errors(JudgeWith {
            judge,
            _marker: PhantomData,
        })
    }

    /// [`errors`](Self::errors) by a type of your own.
    #[must_use]
    pub fn judge_errors<J2>(self, errors: J2) -> Builder<HttpClassify<J2>, T> {
        self.with(|http, timer| {
            let http = HttpClassify {
                methods: http.methods,
                idempotency_key: http.idempotency_key,
                statuses: http.statuses,
                statuses_if_told: http.statuses_if_told,
                grpc_codes: http.grpc_codes,
                retry_after_max: http.retry_after_max,
                replay_limit: http.replay_limit,
                errors,
            };
            (http, timer)
        })
    }

    fn set(self, f: impl FnOnce(&mut HttpClassify<J>)) -> Self {
        self.with(|mut http, timer| {
            f(&mut http);
            (http, timer)
        })
    }
}

/// What an error says about the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// It has provably reached nobody who would act on it.
    Unsent,
    /// It may have been acted on, or not.
    Broken,
    /// Another attempt would fail as well.
    Final,
}

/// Says what an error means.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not know errors of type `{E}`",
    note = "say what they mean with `.errors(|error: &{E}| ...)`, or box them: `map_err(BoxError::from)`"
)]
pub trait JudgeError<E> {
    /// What `error` says about the request.
    fn judge(&self, error: &E) -> ErrorKind;
}

/// Looks for causes that it knows in an error and its sources.
///
/// [`Unsent`] means what it says, and so do with the feature `h2` a stream that was refused, or that came after the last one of
/// a connection that is closed in order. A deadline that has passed is final. All else means that the connection broke, also
/// what the operating system says: a connection that was lost on the way may be refused or unreachable as well as one that
/// was never made.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ErrorChain;

impl JudgeError<BoxError> for ErrorChain {
    fn judge(&self, error: &BoxError) -> ErrorKind {
        let mut next: Option<&(dyn Error + 'static)> = Some(&**error);
        while let Some(error) = next {
            if error.is::<DeadlineExceeded>() {
                return ErrorKind::Final;
            }
            if is_unsent(error) {
                return ErrorKind::Unsent;
            }
            next = error.source();
        }
        ErrorKind::Broken
    }
}

fn is_unsent(error: &(dyn Error + 'static)) -> bool {
    #[cfg(feature = "h2")]
    if let Some(error) = error.downcast_ref::<h2::Error>() {
        // RFC 9113, 8.7 and 6.8.
        let closed =
            error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR);
        return closed || error.reason() == Some(h2::Reason::REFUSED_STREAM);
    }
    error.is::<Unsent>()
}

/// An error of a request that has provably reached nobody: what a client wraps its failures to connect in.
#[derive(Debug)]
pub struct Unsent(BoxError);

impl Unsent {
    /// The request was not sent because of `cause`.
    pub fn new(cause: impl Into<BoxError>) -> Self {
        Self(cause.into())
    }
}

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request was not sent")
    }
}

impl Error for Unsent {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

/// A closure that says what an error means; see [`Builder::errors`].
pub struct JudgeWith<F, E> {
    judge: F,
    _marker: PhantomData<fn(E)>,
}

// `A` is not the error that is judged, for the reason given at `RetryIf`.
impl<F: Fn(&E) -> ErrorKind, E, A> JudgeError<E> for JudgeWith<F, A> {
    fn judge(&self, error: &E) -> ErrorKind {
        (self.judge)(error)
    }
}

impl<F, E> fmt::Debug for JudgeWith<F, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JudgeWith").finish_non_exhaustive()
    }
}
