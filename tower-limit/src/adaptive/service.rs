use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::Instant;
use tower_classify::{Classify, ErrorIsFailure};
use tower_service::Service;

use super::control::{Control, Handle};
use super::future::{InFlight, ResponseFuture};
use super::policy::Limit;
use crate::concurrency::ConcurrencyLimit;
use crate::error::LimitKind;
use crate::refuse::reserve::Reserve;
use crate::refuse::{self, Refuse};

/// Limits the requests in flight to what the service can do; see the [module](super). It is created by its layer.
pub struct AdaptiveConcurrencyLimit<S, L, C = ErrorIsFailure> {
    limit: ConcurrencyLimit<S>,
    classify: C,
    control: Arc<Control<L>>,
}

impl<S, L, C> AdaptiveConcurrencyLimit<S, L, C> {
    pub(super) fn new(inner: S, classify: C, control: Arc<Control<L>>) -> Self {
        Self {
            limit: control.permits.limit(inner),
            classify,
            control,
        }
    }

    /// Returns a handle that shows the limit.
    pub fn handle(&self) -> Handle<L> {
        Handle::new(Arc::clone(&self.control))
    }

    /// Returns a reference to the inner service.
    pub fn get_ref(&self) -> &S {
        self.limit.get_ref()
    }

    /// Returns a mutable reference to the inner service.
    pub fn get_mut(&mut self) -> &mut S {
        self.limit.get_mut()
    }

    /// Returns the inner service, and gives up a reserved permit.
    pub fn into_inner(self) -> S {
        self.limit.into_inner()
    }
}

#[cfg(feature = "http")]
crate::http::holding_service!(AdaptiveConcurrencyLimit<S, L, C>);

impl<S, L, C, Req> Service<Req> for AdaptiveConcurrencyLimit<S, L, C>
where
    S: Service<Req>,
    L: Limit,
    C: Classify<Req, S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, L, C, C::Info, Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.limit.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let info = self.classify.info(&request);
        let classify = (self.classify.clone(), info);
        let in_flight = InFlight::new(Arc::clone(&self.control), Instant::now());
        ResponseFuture::new(in_flight, self.limit.call(request), classify)
    }
}

impl<S, L, C> refuse::Limit for AdaptiveConcurrencyLimit<S, L, C> {}

impl<S, L, C> Reserve for AdaptiveConcurrencyLimit<S, L, C> {
    const KIND: LimitKind = LimitKind::Concurrency;

    #[inline]
    fn try_reserve(&mut self) -> Result<(), Option<Instant>> {
        self.limit.try_reserve()
    }

    fn poll_reserve(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.limit.poll_reserve(cx)
    }

    fn peek(&mut self) -> Result<(), Option<Instant>> {
        self.limit.peek()
    }
}

impl<S, L, C> AdaptiveConcurrencyLimit<S, L, C> {
    /// Refuses requests that would have to wait, with a [`LimitExceeded`](crate::error::LimitExceeded): see
    /// [`refuse`](crate::refuse).
    pub fn shed(self) -> Refuse<Self> {
        let observer = self.control.observer();
        Refuse::new(self, None, observer)
    }

    /// Refuses requests that have waited for `max`, with a [`LimitExceeded`](crate::error::LimitExceeded): see
    /// [`refuse`](crate::refuse).
    pub fn max_wait(self, max: std::time::Duration) -> Refuse<Self> {
        let observer = self.control.observer();
        Refuse::new(self, Some(max), observer)
    }
}

impl<S: Clone, L, C: Clone> Clone for AdaptiveConcurrencyLimit<S, L, C> {
    fn clone(&self) -> Self {
        Self {
            limit: self.limit.clone(),
            classify: self.classify.clone(),
            control: Arc::clone(&self.control),
        }
    }
}

impl<S: fmt::Debug, L, C> fmt::Debug for AdaptiveConcurrencyLimit<S, L, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdaptiveConcurrencyLimit")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "load")]
impl<S: tower_load::Load, L, C> tower_load::Load for AdaptiveConcurrencyLimit<S, L, C> {
    type Metric = S::Metric;

    fn load(&self) -> S::Metric {
        self.limit.load()
    }

    fn relative_weight(load: &Self) -> u32 {
        ConcurrencyLimit::relative_weight(&load.limit)
    }
}
