use std::fmt;
use std::sync::Arc;

use http::{Method, Request};
use tower_retry::http::{ReplayBody, count_attempts, is_grpc};

use crate::Policy;

/// Which requests may be hedged; see the [module](super).
///
/// Put a [`Tried`](tower_util::Tried) into the extensions of a request, as an `HttpRetry` around this does, and a balancer with
/// `avoid_tried` sends its copy to another endpoint. A further gRPC request tells how many there were before it, in `grpc-previous-rpc-attempts`.
///
/// # Cost
///
/// A request that may be hedged is copied: head, extensions and body. That of others is two or three comparisons.
pub struct HttpPolicy<B> {
    rules: Arc<Rules>,
    copy: fn(&B) -> Option<B>,
    ready: fn(&B) -> bool,
}

#[derive(Clone, Debug)]
struct Rules {
    methods: Vec<Method>,
    idempotency_key: bool,
    grpc: bool,
}

impl<B: Clone> HttpPolicy<B> {
    /// Clones bodies.
    pub fn new() -> Self {
        Self::with_body(|body| Some(body.clone()))
    }
}

impl<B> HttpPolicy<ReplayBody<B>> {
    /// For requests inside of an [`HttpRetry`](tower_retry::http::HttpRetry): a copy is sent once all of the body is kept. A
    /// copy that goes out while the client still sends would take the rest of the body from the first request.
    pub fn replayed() -> Self {
        Self::with_body(ReplayBody::try_clone).ready(ReplayBody::is_complete)
    }
}

impl<B> HttpPolicy<B> {
    /// Copies bodies with `copy`. A request is not hedged for whose body it has no copy.
    pub fn with_body(copy: fn(&B) -> Option<B>) -> Self {
        Self {
            rules: Arc::new(Rules {
                methods: vec![Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE],
                idempotency_key: true,
                grpc: false,
            }),
            copy,
            ready: |_| true,
        }
    }

    /// Sends a copy only if its body is ready when the time has come; otherwise the first request is waited for. By default
    /// all are.
    #[must_use]
    pub fn ready(mut self, ready: fn(&B) -> bool) -> Self {
        self.ready = ready;
        self
    }

    /// The methods whose requests may be hedged: these and no others. By default GET, HEAD, OPTIONS and TRACE, the safe ones: PUT and DELETE may be
    /// repeated after a failure, but two of them at once may cross a third.
    #[must_use]
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        Arc::make_mut(&mut self.rules).methods = methods.into_iter().collect();
        self
    }

    /// More [`methods`](Self::methods) whose requests may be hedged, beside those that are set.
    #[must_use]
    pub fn add_methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        Arc::make_mut(&mut self.rules).methods.extend(methods);
        self
    }

    /// Whether a request with the header `idempotency-key` may be hedged, whatever its method. By default it may.
    #[must_use]
    pub fn idempotency_key(mut self, hedges: bool) -> Self {
        Arc::make_mut(&mut self.rules).idempotency_key = hedges;
        self
    }

    /// Whether gRPC calls may be hedged. By default they may not, as their head does not tell what is safe: say yes where
    /// all that go through here are.
    #[must_use]
    pub fn grpc(mut self, hedges: bool) -> Self {
        Arc::make_mut(&mut self.rules).grpc = hedges;
        self
    }

    fn may_be_hedged(&self, request: &Request<B>) -> bool {
        let rules = &self.rules;
        rules.methods.contains(request.method())
            || (rules.idempotency_key && request.headers().contains_key("idempotency-key"))
            || (rules.grpc && is_grpc(request.headers()))
    }
}

impl<B> Policy<Request<B>> for HttpPolicy<B> {
    fn clone_request(&self, req: &Request<B>) -> Option<Request<B>> {
        if !self.may_be_hedged(req) {
            return None;
        }
        let mut copy = Request::new((self.copy)(req.body())?);
        *copy.method_mut() = req.method().clone();
        *copy.uri_mut() = req.uri().clone();
        *copy.version_mut() = req.version();
        *copy.headers_mut() = req.headers().clone();
        *copy.extensions_mut() = req.extensions().clone();
        Some(copy)
    }

    fn can_retry(&self, req: &Request<B>) -> bool {
        (self.ready)(req.body())
    }

    fn prepare_copy(_policy: &Self, req: &mut Request<B>, attempts: u32) {
        if is_grpc(req.headers()) {
            count_attempts(req.headers_mut(), attempts);
        }
    }
}

impl<B: Clone> Default for HttpPolicy<B> {
    fn default() -> Self {
        Self::new()
    }
}

impl<B> Clone for HttpPolicy<B> {
    fn clone(&self) -> Self {
        Self {
            rules: Arc::clone(&self.rules),
            copy: self.copy,
            ready: self.ready,
        }
    }
}

impl<B> fmt::Debug for HttpPolicy<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpPolicy")
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}
