use std::task::{Context, Poll};

use http::{Method, Request, Response, header};
use http_body::Body;
use tower_classify::http::ClassifyError;
use tower_layer::Layer;
use tower_service::Service;
use tower_util::Tried;

use super::peek::{PeekBody, PeekTrailers};
use super::replay::ReplayBody;
use super::rules::HttpRules;
use crate::future::ResponseFuture;
use crate::{AttemptTimer, BoxError, NoTimeout, Policy, Retry, RetryPolicy};

/// Wraps services in [`HttpRetry`].
#[derive(Debug)]
pub struct HttpRetryLayer<J, T = NoTimeout> {
    policy: RetryPolicy<HttpRules<J>, T>,
}

// Not derived: clones share the rules, so `J` need not be `Clone`.
impl<J, T: Clone> Clone for HttpRetryLayer<J, T> {
    fn clone(&self) -> Self {
        Self {
            policy: self.policy.clone(),
        }
    }
}

impl<J, T> HttpRetryLayer<J, T> {
    /// Creates a layer that retries requests according to `policy`, which is built with [`RetryPolicy::http`].
    pub const fn new(policy: RetryPolicy<HttpRules<J>, T>) -> Self {
        Self { policy }
    }
}

impl<J, T: Clone, S> Layer<S> for HttpRetryLayer<J, T> {
    type Service = HttpRetry<J, T, S>;

    fn layer(&self, service: S) -> Self::Service {
        HttpRetry {
            inner: Retry::new(self.policy.clone(), PeekTrailers::new(service)),
        }
    }
}

/// Retries HTTP requests and gRPC calls; see the [module](super).
///
/// The inner service receives requests with a [`ReplayBody`], and must be [`Clone`].
#[derive(Debug)]
pub struct HttpRetry<J, T, S> {
    inner: Retry<RetryPolicy<HttpRules<J>, T>, PeekTrailers<S>>,
}

impl<J, T: Clone, S: Clone> Clone for HttpRetry<J, T, S> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
        }
    }
}

impl<J, T, S> HttpRetry<J, T, S> {
    /// Returns a reference to the inner service.
    pub const fn get_ref(&self) -> &S {
        self.inner.get_ref().get_ref()
    }

    /// Returns a mutable reference to the inner service.
    pub const fn get_mut(&mut self) -> &mut S {
        self.inner.get_mut().get_mut()
    }

    /// Returns the inner service.
    pub fn into_inner(self) -> S {
        self.inner.into_inner().into_inner()
    }
}

impl<B, R, J, T, S> Service<Request<B>> for HttpRetry<J, T, S>
where
    B: Body<Error: Into<BoxError>> + Unpin,
    R: Body + Unpin,
    S: Service<Request<ReplayBody<B>>, Response = Response<R>> + Clone,
    J: ClassifyError<S::Error>,
    T: AttemptTimer<S::Error> + Clone,
    RetryPolicy<HttpRules<J>, T>: Policy<Request<ReplayBody<B>>, Response<PeekBody<R>>, S::Error>,
{
    type Response = Response<PeekBody<R>>;
    type Error = S::Error;
    type Future =
        ResponseFuture<RetryPolicy<HttpRules<J>, T>, PeekTrailers<S>, Request<ReplayBody<B>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let tunnel =
            request.method() == Method::CONNECT || request.headers().contains_key(header::UPGRADE);
        let policy = self.inner.policy();
        let retries = policy.retries() && !tunnel;
        let limit = policy.rules().replay_limit();
        if retries && request.extensions().get::<Tried>().is_none() {
            request.extensions_mut().insert(Tried::new());
        }
        self.inner.call(request.map(|body| {
            // An empty body needs no buffer, so layers below can replay it even if this policy does not retry.
            let free = body.is_end_stream() && !tunnel;
            match retries || free {
                true => ReplayBody::new(body, limit),
                false => ReplayBody::once(body),
            }
        }))
    }
}
