use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_classify::{Classify, ErrorIsFailure};
use tower_readiness::Refusal;
use tower_service::Service;

use super::gate::Gate;
use crate::BoxError;
use crate::call::Calls;
use crate::error::Throttled;
use crate::fallback::Rejected;
use crate::future::ResponseFuture;
use crate::policy::AdmissionPolicy;

/// Rejects some requests to a service that rejects too many itself; see the [module](super).
pub struct Admission<S, P, C = ErrorIsFailure> {
    inner: S,
    calls: Calls<Gate<P>, C>,
    refusal: Refusal,
}

impl<S, P: AdmissionPolicy, C> Admission<S, P, C> {
    pub(super) fn build(inner: S, gate: Arc<Gate<P>>, classify: C) -> Self {
        Self {
            inner,
            calls: Calls::new(gate, classify),
            refusal: Refusal::new(),
        }
    }
}

impl<S, P, C> Admission<S, P, C> {
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

impl<S, P, C, Req> Service<Req> for Admission<S, P, C>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
    P: AdmissionPolicy,
    C: Classify<Req, S::Response, BoxError> + Clone,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future =
        ResponseFuture<S::Future, Rejected<S::Response, Throttled>, Gate<P>, C, C::Info, Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.refusal.check()?;
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        match self.calls.ledger().admit() {
            Ok(()) => {
                let in_flight = self.calls.begin(());
                let info = in_flight.classify().info(&request);
                ResponseFuture::called(self.inner.call(request), in_flight, info)
            }
            Err(throttled) => {
                self.refusal.release(&mut self.inner);
                ResponseFuture::rejected(Rejected::new(throttled))
            }
        }
    }
}

impl<S: Clone, P, C> Clone for Admission<S, P, C> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            calls: self.calls.clone(),
            refusal: Refusal::new(),
        }
    }
}

impl<S: fmt::Debug, P: fmt::Debug, C> fmt::Debug for Admission<S, P, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission")
            .field("inner", &self.inner)
            .field("gate", self.calls.ledger())
            .finish_non_exhaustive()
    }
}
