use std::fmt;
use std::sync::Arc;

use http::{Method, Request};
use tower_classify::http::is_grpc;
use tower_retry::http::{ReplayBody, count_attempts};

use crate::Policy;

/// Decides which HTTP and gRPC requests may be hedged; see the [module](super).
///
/// To send a hedge to another endpoint, put a [`Tried`](tower_util::Tried) into the extensions of the request, as an
/// `HttpRetry` around this layer does, and use a balancer with `avoid_tried`. A hedge of a gRPC call carries the number
/// of attempts before it in `grpc-previous-rpc-attempts`.
///
/// # Cost
///
/// A request that may be hedged is cloned: head, extensions and body. Others cost two or three comparisons.
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
    /// Creates a policy with the default rules that copies bodies by cloning them.
    pub fn new() -> Self {
        Self::with_body(|body| Some(body.clone()))
    }
}

impl<B> HttpPolicy<ReplayBody<B>> {
    /// Creates a policy for requests inside an [`HttpRetry`](tower_retry::http::HttpRetry): a hedge is sent only if the
    /// whole body is buffered when it is due. A hedge that is sent while the client is still uploading would take the
    /// rest of the body from the first attempt.
    pub fn replayed() -> Self {
        Self::with_body(ReplayBody::try_clone).ready(ReplayBody::is_complete)
    }
}

impl<B> HttpPolicy<B> {
    /// Creates a policy with the default rules that copies bodies with `copy`. A request is not hedged if `copy`
    /// returns `None` for its body.
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

    /// Sends a hedge only if `ready` returns `true` for its body when the hedge is due; otherwise there is no hedge. By
    /// default every body is ready.
    #[must_use]
    pub fn ready(mut self, ready: fn(&B) -> bool) -> Self {
        self.ready = ready;
        self
    }

    /// Sets the methods whose requests may be hedged. By default the safe ones: GET, HEAD, OPTIONS and TRACE. PUT and
    /// DELETE may be retried after a failure, but two concurrent ones may interleave with a third request.
    #[must_use]
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        Arc::make_mut(&mut self.rules).methods = methods.into_iter().collect();
        self
    }

    /// Adds to the [`methods`](Self::methods) whose requests may be hedged.
    #[must_use]
    pub fn add_methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        Arc::make_mut(&mut self.rules).methods.extend(methods);
        self
    }

    /// Sets whether a request with the header `idempotency-key` may be hedged, whatever its method. By default it may.
    #[must_use]
    pub fn idempotency_key(mut self, hedges: bool) -> Self {
        Arc::make_mut(&mut self.rules).idempotency_key = hedges;
        self
    }

    /// Sets whether gRPC calls may be hedged. By default they may not, because their head does not say which calls are
    /// safe; enable it if all calls through this layer are.
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
