use std::fmt;
use std::task::{Context, Poll};

use tower_readiness::{Observer, Refusal};
use tower_service::Service;

use super::KeyLimit;
use super::future::ResponseFuture;
use crate::{BoxError, Event, event};

/// Limits the requests of each key; see the [module](super).
#[derive(Clone)]
pub struct KeyedLimit<S, F, L> {
    inner: S,
    key: F,
    limit: L,
    refusal: Refusal,
    observer: Observer<Event>,
}

impl<S, F, L: KeyLimit> KeyedLimit<S, F, L> {
    /// Applies `limit` to the key of each request to `inner`.
    pub const fn new<Req>(inner: S, limit: L, key: F) -> Self
    where
        F: Fn(&Req) -> L::Key,
    {
        Self::build(inner, key, limit, Observer::none())
    }
}

impl<S, F, L> KeyedLimit<S, F, L> {
    pub(super) const fn build(inner: S, key: F, limit: L, observer: Observer<Event>) -> Self {
        Self {
            inner,
            key,
            limit,
            refusal: Refusal::new(),
            observer,
        }
    }

    /// Calls `observe` for each refused request, and for each key that is forgotten too early.
    #[must_use]
    pub fn on_event(mut self, observe: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.observer = Observer::new(observe);
        self
    }

    /// Returns a reference to the inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns a mutable reference to the inner service.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Returns the inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

#[cfg(all(feature = "concurrency", feature = "http"))]
crate::http::holding_service!(KeyedLimit<S, F, L>);

impl<S, F, L, Req> Service<Req> for KeyedLimit<S, F, L>
where
    S: Service<Req, Error: Into<BoxError>>,
    F: Fn(&Req) -> L::Key,
    L: KeyLimit,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future, L::Permit>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.refusal.check()?;
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        let key = (self.key)(&request);
        match self.limit.admit(key, &self.observer) {
            Ok(permit) => ResponseFuture::called(self.inner.call(request), permit),
            Err(error) => {
                let error = event::refuse(error.limit(), error.retry_after(), &self.observer);
                self.refusal.release(&mut self.inner);
                ResponseFuture::refused(error)
            }
        }
    }
}

impl<S: fmt::Debug, F, L: fmt::Debug> fmt::Debug for KeyedLimit<S, F, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedLimit")
            .field("inner", &self.inner)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "load")]
impl<S: tower_load::Load, F, L> tower_load::Load for KeyedLimit<S, F, L> {
    type Metric = S::Metric;

    fn load(&self) -> S::Metric {
        self.inner.load()
    }

    fn relative_weight(load: &Self) -> u32 {
        S::relative_weight(&load.inner)
    }
}
