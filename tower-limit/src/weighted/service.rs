use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tower_readiness::{Observer, Refusal};
use tower_service::Service;

use super::future::ResponseFuture;
use super::permits::Pool;
use crate::error::LimitKind;
use crate::{BoxError, Event, event};

/// Limits the requests in flight by their weight; see the [module](super). It is created by its layer.
#[derive(Clone)]
pub struct WeightedConcurrencyLimit<S, W> {
    inner: S,
    settings: Settings<W>,
    refusal: Refusal,
}

#[derive(Clone)]
pub(super) struct Settings<W> {
    pub(super) pool: Arc<Pool>,
    pub(super) weight: W,
    /// Zero if a request must not wait, and `None` if it may wait as long as it takes.
    pub(super) max_wait: Option<Duration>,
    pub(super) observer: Observer<Event>,
}

impl<S, W> WeightedConcurrencyLimit<S, W> {
    pub(super) const fn new(inner: S, settings: Settings<W>) -> Self {
        Self {
            inner,
            settings,
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

    /// Returns the inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

#[cfg(feature = "http")]
crate::http::holding_service!(WeightedConcurrencyLimit<S, W>);

impl<S, W, Req> Service<Req> for WeightedConcurrencyLimit<S, W>
where
    S: Service<Req, Error: Into<BoxError>> + Clone,
    W: Fn(&Req) -> u32,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S, S::Future, Req>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.refusal.check()?;
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        let Settings { pool, weight, .. } = &self.settings;
        let weight = weight(&request).min(pool.max());
        if let Some(permits) = pool.take(weight) {
            return ResponseFuture::called(self.inner.call(request), permits);
        }
        if self.settings.max_wait == Some(Duration::ZERO) {
            let error = event::refuse(LimitKind::Concurrency, None, &self.settings.observer);
            self.refusal.release(&mut self.inner);
            return ResponseFuture::refused(error);
        }
        let wait = pool.wait(weight);
        // The future needs the service that is ready.
        let clone = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, clone);
        let Settings {
            max_wait, observer, ..
        } = &self.settings;
        ResponseFuture::waiting(ready, request, wait, *max_wait, observer.clone())
    }
}

impl<S: fmt::Debug, W> fmt::Debug for WeightedConcurrencyLimit<S, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeightedConcurrencyLimit")
            .field("inner", &self.inner)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl<W> fmt::Debug for Settings<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("pool", &self.pool)
            .field("max_wait", &self.max_wait)
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "load")]
impl<S: tower_load::Load, W> tower_load::Load for WeightedConcurrencyLimit<S, W> {
    type Metric = S::Metric;

    fn load(&self) -> S::Metric {
        self.inner.load()
    }

    fn relative_weight(load: &Self) -> u32 {
        S::relative_weight(&load.inner)
    }
}
