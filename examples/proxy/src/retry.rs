//! Which requests go to an upstream a second time.

use std::sync::Arc;

use futures_util::future::{Either, Ready, ready};
use http::{Method, Request, Response, StatusCode};
use prometheus_client::metrics::counter::Counter;
use tower::BoxError;
use tower::retry::Policy;
use tower::retry::backoff::{
    Backoff, ExponentialBackoff, ExponentialBackoffMaker, InvalidBackoff, MakeBackoff,
};
use tower::retry::budget::{Budget, TpsBudget};

use crate::body::RequestBody;
use crate::config::Retry;
use crate::error::cause_of;
use crate::upstream::{UpstreamBody, UpstreamError};

/// Retries what may be sent again.
///
/// - A request that the upstream provably never saw (no connection, a stream refused) goes out again at once, whatever
///   it is, as long as no byte of its body has been read. It costs no upstream anything, and nothing of the budget.
/// - An idempotent request without a body goes out again also after the connection broke, or a 502, 503 or 504,
///   following a backoff and within the route's budget.
/// - All attempts of a request together are at most [`Retry::attempts`].
#[derive(Debug, Clone)]
pub struct RetryPolicy {
    attempts_left: u32,
    budget: Arc<TpsBudget>,
    backoff: ExponentialBackoffMaker,
    session: Option<ExponentialBackoff>,
    retries: Counter,
}

impl RetryPolicy {
    /// The policy of one route; all its clones share the budget.
    ///
    /// # Errors
    ///
    /// If the backoff's bounds are the wrong way round.
    pub fn new(config: &Retry, retries: Counter) -> Result<Self, InvalidBackoff> {
        Ok(Self {
            attempts_left: config.attempts.saturating_sub(1),
            budget: Arc::new(TpsBudget::new(
                BUDGET_WINDOW,
                RESERVE_PER_SECOND,
                config.budget,
            )),
            backoff: ExponentialBackoffMaker::new(
                config.backoff,
                config.max_backoff,
                JITTER,
                Default::default(),
            )?,
            session: None,
            retries,
        })
    }

    fn again(&mut self) {
        self.attempts_left -= 1;
        self.retries.inc();
    }
}

impl Policy<Request<RequestBody>, Response<UpstreamBody>, BoxError> for RetryPolicy {
    type Future = Either<Ready<()>, <ExponentialBackoff as Backoff>::Future>;

    fn retry(
        &mut self,
        request: &mut Request<RequestBody>,
        result: &mut Result<Response<UpstreamBody>, BoxError>,
    ) -> Option<Self::Future> {
        let verdict = verdict(result);
        if verdict == Verdict::Done {
            self.budget.deposit();
            return None;
        }
        if self.attempts_left == 0 || !request.body().is_untouched() {
            return None;
        }
        if verdict == Verdict::Unseen {
            self.again();
            return Some(Either::Left(ready(())));
        }
        let safe = is_idempotent(request.method()) && request.body().is_empty();
        if !safe || !self.budget.withdraw() {
            return None;
        }
        self.again();
        let maker = &mut self.backoff;
        let session = self.session.get_or_insert_with(|| maker.make_backoff());
        Some(Either::Right(session.next_backoff()))
    }

    fn clone_request(&mut self, request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
        if self.attempts_left == 0 {
            return None;
        }
        let mut clone = Request::new(request.body().share()?);
        *clone.method_mut() = request.method().clone();
        *clone.uri_mut() = request.uri().clone();
        *clone.version_mut() = request.version();
        *clone.headers_mut() = request.headers().clone();
        Some(clone)
    }
}

/// What the outcome of an attempt says about another one.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// The answer, good or bad, is the client's.
    Done,
    /// The upstream never saw the request.
    Unseen,
    /// The upstream may have acted on the request.
    Failed,
}

fn verdict(result: &Result<Response<UpstreamBody>, BoxError>) -> Verdict {
    match result {
        Ok(response) => match response.status() {
            StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Verdict::Failed,
            _ => Verdict::Done,
        },
        Err(error) => match cause_of::<UpstreamError>(error.as_ref()) {
            Some(upstream) if upstream.is_unsent() => Verdict::Unseen,
            Some(_) => Verdict::Failed,
            // Nothing below is ready, or the queue is gone: trying again at once would only be more of the same.
            None => Verdict::Done,
        },
    }
}

/// RFC 9110, 9.2.2.
fn is_idempotent(method: &Method) -> bool {
    method.is_safe() || method == Method::PUT || method == Method::DELETE
}

/// The budget looks back so far.
const BUDGET_WINDOW: std::time::Duration = std::time::Duration::from_secs(10);
/// Retries that are free each second, so that a route of little traffic retries at all.
const RESERVE_PER_SECOND: u32 = 10;
/// The share of a backoff that is random, so that requests that failed together do not come back together.
const JITTER: f64 = 0.5;
