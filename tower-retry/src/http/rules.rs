use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use tokio::time::Instant;
use tower_classify::http::{ClassifyError, Code, HttpClassify, is_grpc};
use tower_classify::{Class, ErrorChain, Failure, FailureKind, Pushback, cause_ref};
use tower_timeout::Deadline;
use tower_timeout::error::{DeadlineExceeded, Elapsed};

use super::attempts::count_attempts;
use super::peek::PeekBody;
use super::replay::ReplayBody;
use crate::{BoxError, Builder, RetryRules};

/// The retry rules for HTTP requests and gRPC calls; see the [module](super).
#[derive(Clone, Debug)]
pub struct HttpRules<E = RetryErrors> {
    methods: Vec<Method>,
    idempotency_key: bool,
    classify: HttpClassify<E>,
    retry_after_max: Duration,
    replay_limit: usize,
}

impl HttpRules {
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
            classify: HttpClassify::new().errors(RetryErrors),
            retry_after_max: Duration::from_secs(30),
            replay_limit: 64 * 1024,
        }
    }
}

impl<E> HttpRules<E> {
    fn map<F>(self, f: impl FnOnce(HttpClassify<E>) -> HttpClassify<F>) -> HttpRules<F> {
        HttpRules {
            methods: self.methods,
            idempotency_key: self.idempotency_key,
            classify: f(self.classify),
            retry_after_max: self.retry_after_max,
            replay_limit: self.replay_limit,
        }
    }

    pub(super) fn replay_limit(&self) -> usize {
        self.replay_limit
    }

    fn may_be_repeated<B>(&self, request: &Request<B>) -> bool {
        self.methods.contains(request.method())
            || (self.idempotency_key && request.headers().contains_key("idempotency-key"))
    }

    fn response<R: Body>(&self, is_grpc: bool, response: &Response<PeekBody<R>>) -> Class {
        let (headers, body) = (response.headers(), response.body());
        let head = self.classify.head(is_grpc, response.status(), headers);
        match body.trailers().filter(|it| Code::of(it).is_some()) {
            Some(trailers) if is_grpc && Code::of(headers).is_none() => {
                self.classify.trailers(Some(trailers))
            }
            // A gRPC response with neither a status nor a message is a broken one.
            _ if head.is_none() && body.is_broken() => self.classify.trailers(None),
            _ => head.unwrap_or(Class::Success),
        }
    }

    /// Makes a failure final if the request must not be repeated, or if the server asks for a longer wait than the maximum.
    fn bound(&self, failure: Failure, may_be_repeated: impl FnOnce() -> bool) -> Failure {
        if !failure.is_transient() || !may_be_repeated() {
            return failure.transient(false);
        }
        match failure.pushback() {
            Some(Pushback::After(wait)) if wait > self.retry_after_max => {
                failure.with_pushback(Some(Pushback::Never))
            }
            _ => failure,
        }
    }
}

impl<B, R, E, J> RetryRules<Request<ReplayBody<B>>, Response<PeekBody<R>>, E> for HttpRules<J>
where
    R: Body,
    J: ClassifyError<E>,
{
    fn classify(
        &self,
        request: &Request<ReplayBody<B>>,
        result: Result<&Response<PeekBody<R>>, &E>,
    ) -> Class {
        let is_grpc = is_grpc(request.headers());
        let answered = result.is_ok();
        let class = match result {
            Ok(response) => self.response(is_grpc, response),
            Err(error) => self.classify.error(error),
        };
        match class {
            // A transient gRPC code means that the call may be repeated, whatever the method.
            Class::Failure(failure) => Class::Failure(self.bound(failure, || {
                (is_grpc && answered) || self.may_be_repeated(request)
            })),
            class => class,
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
        // The failed attempt must not read on: it might exceed the limit, and the body could not be sent any more.
        request.body().claim()
    }
}

impl<E, T> Builder<HttpRules<E>, T> {
    /// Sets the methods whose requests may be repeated, replacing the defaults: GET, HEAD, OPTIONS, TRACE, PUT and DELETE.
    #[must_use]
    pub fn methods(self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.set(|http| http.methods = methods.into_iter().collect())
    }

    /// Adds to the [`methods`](Self::methods) whose requests may be repeated.
    #[must_use]
    pub fn add_methods(self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.set(|http| http.methods.extend(methods))
    }

    /// Sets whether a request with the header `idempotency-key` may be repeated, whatever its method. The default is `true`.
    #[must_use]
    pub fn idempotency_key(self, repeats: bool) -> Self {
        self.set(|http| http.idempotency_key = repeats)
    }

    /// Sets the statuses after which a request is retried, with or without a `retry-after`, replacing the defaults.
    ///
    /// The defaults are 502, 503 and 504, and 429 if it comes with a `retry-after`: without one, the server does not say when a
    /// retry could succeed. To keep the defaults and add others, use [`add_statuses`](Self::add_statuses).
    ///
    /// ```
    /// use http::StatusCode;
    /// use tower_retry::RetryPolicy;
    ///
    /// // Only 503.
    /// let policy = RetryPolicy::http().statuses([StatusCode::SERVICE_UNAVAILABLE]);
    /// // The defaults, and 408.
    /// let policy = RetryPolicy::http().add_statuses([StatusCode::REQUEST_TIMEOUT]);
    /// # let _ = policy;
    /// ```
    #[must_use]
    pub fn statuses(self, statuses: impl IntoIterator<Item = StatusCode>) -> Self {
        self.classification(|classify| classify.transient(statuses))
    }

    /// Adds to the [`statuses`](Self::statuses) after which a request is retried. Useful ones are 408 and 425, and 429 for servers
    /// that send it without a `retry-after`.
    #[must_use]
    pub fn add_statuses(self, statuses: impl IntoIterator<Item = StatusCode>) -> Self {
        self.classification(|classify| classify.add_transient(statuses))
    }

    /// Sets the gRPC codes after which a call is retried, replacing the defaults: UNAVAILABLE, and RESOURCE_EXHAUSTED if it comes
    /// with a pushback.
    #[must_use]
    pub fn grpc_codes(self, codes: impl IntoIterator<Item = Code>) -> Self {
        self.classification(|classify| classify.grpc_transient(codes))
    }

    /// Adds to the [`grpc_codes`](Self::grpc_codes) after which a call is retried.
    #[must_use]
    pub fn add_grpc_codes(self, codes: impl IntoIterator<Item = Code>) -> Self {
        self.classification(|classify| classify.add_grpc_transient(codes))
    }

    /// Sets the longest accepted `retry-after` or `grpc-retry-pushback-ms`. If a server asks for a longer wait, its response is
    /// returned to the caller. The default is 30 seconds.
    #[must_use]
    pub fn retry_after_max(self, max: Duration) -> Self {
        self.set(|http| http.retry_after_max = max)
    }

    /// Sets how many bytes of a request body are buffered for retries. The default is 64 KiB.
    #[must_use]
    pub fn replay_limit(self, bytes: usize) -> Self {
        self.set(|http| http.replay_limit = bytes)
    }

    /// Sets the classification of the service's errors: a closure `Fn(&Error) -> Class`, or another
    /// [`ClassifyError`]. The default is [`RetryErrors`], which classifies `BoxError`.
    ///
    /// For the client of hyper-util, whose errors say whether connecting failed:
    ///
    /// ```
    /// use hyper_util::client::legacy::Error;
    /// use tower_classify::{Class, FailureKind};
    /// use tower_retry::RetryPolicy;
    ///
    /// let policy = RetryPolicy::http()
    ///     .errors(|error: &Error| match error.is_connect() {
    ///         true => Class::Unsent,
    ///         false => Class::failure(FailureKind::Disconnected),
    ///     })
    ///     .build();
    /// ```
    #[must_use]
    pub fn errors<F>(self, errors: F) -> Builder<HttpRules<F>, T> {
        self.with(|http, timer| (http.map(|classify| classify.errors(errors)), timer))
    }

    /// Sets what responses and errors mean: the classification that health and load use as well. It replaces the
    /// [`statuses`](Self::statuses), the [`grpc_codes`](Self::grpc_codes) and the [`errors`](Self::errors) set before. A request
    /// is retried after a failure that is [transient](tower_classify::Failure::is_transient), if it may be repeated.
    ///
    /// ```
    /// use tower_classify::http::HttpClassify;
    /// use tower_retry::RetryPolicy;
    /// use tower_retry::http::RetryErrors;
    ///
    /// let classify = HttpClassify::new().errors(RetryErrors);
    /// let policy = RetryPolicy::http().classify_by(classify.clone()).build();
    /// # let _ = (policy, classify);
    /// ```
    #[must_use]
    pub fn classify_by<F>(self, classify: HttpClassify<F>) -> Builder<HttpRules<F>, T> {
        self.with(|http, timer| (http.map(|_| classify), timer))
    }

    fn classification(self, f: impl FnOnce(HttpClassify<E>) -> HttpClassify<E>) -> Self {
        self.with(|http, timer| (http.map(f), timer))
    }

    fn set(self, f: impl FnOnce(&mut HttpRules<E>)) -> Self {
        self.with(|mut http, timer| {
            f(&mut http);
            (http, timer)
        })
    }
}

/// Classifies the errors of a retried service, by their type and the types of their sources.
///
/// [`DeadlineExceeded`] is [ignored](Class::Ignored), as there is no time left for another attempt. [`Elapsed`] is a
/// [`Timeout`](FailureKind::Timeout). All other errors are classified by [`ErrorChain`].
#[derive(Clone, Copy, Debug, Default)]
pub struct RetryErrors;

impl ClassifyError<BoxError> for RetryErrors {
    fn classify_error(&self, error: &BoxError) -> Class {
        let error = error.as_ref();
        if cause_ref::<DeadlineExceeded>(error).is_some() {
            return Class::Ignored;
        }
        match ErrorChain::class(error) {
            Class::Failure(_) if cause_ref::<Elapsed>(error).is_some() => {
                Class::failure(FailureKind::Timeout)
            }
            class => class,
        }
    }
}
