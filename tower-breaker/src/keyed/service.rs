use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_classify::{Classify, ErrorIsFailure};
use tower_readiness::Refusal;
use tower_service::Service;

use super::shards::Shards;
use crate::BoxError;
use crate::call::Calls;
use crate::error::Open;
use crate::fallback::Rejected;
use crate::future::ResponseFuture;

/// Sends no requests with a key whose requests fail; see the [module](super).
pub struct KeyedCircuitBreaker<S, K, X, C = ErrorIsFailure> {
    inner: S,
    calls: Calls<Shards<K>, C>,
    key: X,
    refusal: Refusal,
}

impl<S, K, X, C> KeyedCircuitBreaker<S, K, X, C> {
    pub(super) fn build(inner: S, shards: Arc<Shards<K>>, key: X, classify: C) -> Self {
        Self {
            inner,
            calls: Calls::new(shards, classify),
            key,
            refusal: Refusal::new(),
        }
    }

    /// Returns a reference to the inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns a mutable reference to the inner service.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Consumes `self`, returning the inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, K, X, C, Req> Service<Req> for KeyedCircuitBreaker<S, K, X, C>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
    K: Hash + Eq + Clone,
    X: Fn(&Req) -> K,
    C: Classify<Req, S::Response, BoxError> + Clone,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future =
        ResponseFuture<S::Future, Rejected<S::Response, Open>, Shards<K>, C, C::Info, Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.refusal.check()?;
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        match self.calls.ledger().begin((self.key)(&request)) {
            Ok(ticket) => {
                let in_flight = self.calls.begin(ticket);
                let info = in_flight.classify().info(&request);
                ResponseFuture::called(self.inner.call(request), in_flight, info)
            }
            Err(open) => {
                self.refusal.release(&mut self.inner);
                ResponseFuture::rejected(Rejected::new(open))
            }
        }
    }
}

impl<S: Clone, K, X: Clone, C> Clone for KeyedCircuitBreaker<S, K, X, C> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            calls: self.calls.clone(),
            key: self.key.clone(),
            refusal: Refusal::new(),
        }
    }
}

impl<S: fmt::Debug, K, X, C> fmt::Debug for KeyedCircuitBreaker<S, K, X, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedCircuitBreaker")
            .field("inner", &self.inner)
            .field("breakers", self.calls.ledger())
            .finish_non_exhaustive()
    }
}
