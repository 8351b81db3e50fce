use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::sync::Semaphore;
use tokio::time::Instant;
use tower_readiness::Purpose;
use tower_service::Service;

use super::future::ResponseFuture;
use super::permits::{Permit, PermitWaiter, Permits};
use super::pool::SharedSource;
use crate::error::LimitKind;
use crate::refuse::refusing_service;
use crate::refuse::reserve::Reserve;

/// Limits the number of in-flight requests; see the [module](super).
#[derive(Debug)]
pub struct ConcurrencyLimit<T> {
    inner: T,
    wait: PermitWaiter,
    /// The permit that `poll_ready` has reserved for the next call.
    permit: Option<Permit>,
    /// Whether a permit was free when the service was last driven, which reserves none.
    driven: bool,
}

impl<T> ConcurrencyLimit<T> {
    /// Limits `inner` and all clones of the returned service together to `max` in-flight requests. If `max` is zero, the service
    /// is never ready.
    pub fn new(inner: T, max: usize) -> Self {
        Self::with_permits(inner, &Permits::new(max))
    }

    /// Takes a permit of `semaphore` for each request. Once the semaphore is closed, the service is never ready again.
    pub fn with_semaphore(inner: T, semaphore: Arc<Semaphore>) -> Self {
        Self::with_permits(inner, &Permits::From(SharedSource::new(semaphore)))
    }

    pub(super) fn with_permits(inner: T, permits: &Permits) -> Self {
        Self {
            inner,
            wait: permits.wait(),
            permit: None,
            driven: false,
        }
    }

    /// Returns a reference to the inner service.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// Returns a mutable reference to the inner service.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    /// Returns the inner service, and gives up a reserved permit.
    pub fn into_inner(self) -> T {
        self.inner
    }
}

impl<S, Request> Service<Request> for ConcurrencyLimit<S>
where
    S: Service<Request>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        if Purpose::current() != Purpose::Call {
            self.give_back(cx);
        } else if self.permit.is_none() {
            let permit = ready!(self.wait.poll(cx));
            // The old value is `None`: `forget` saves the check whether it must be dropped.
            std::mem::forget(self.permit.replace(permit));
        }
        let polled = self.inner.poll_ready(cx);
        if self.permit.is_none() || !matches!(polled, Poll::Ready(Ok(()))) {
            return self.without_permit(polled);
        }
        polled
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let permit = match self.permit.take() {
            Some(permit) => permit,
            None => self.late_permit(),
        };
        ResponseFuture::new(self.inner.call(request), permit)
    }
}

impl<S> ConcurrencyLimit<S> {
    /// Returns the reserved permit, as no request is going to be sent. When driven, also finds out whether a permit is free, and
    /// if not, waits to be woken when one is.
    #[cold]
    fn give_back(&mut self, cx: &mut Context<'_>) {
        self.permit = None;
        self.driven = Purpose::current() == Purpose::Drive && self.wait.poll_free(cx).is_ready();
        if Purpose::current() == Purpose::Release {
            self.wait.leave();
        }
    }

    /// Ends a `poll_ready` without a permit: the inner service is not ready, or no request is going to be sent.
    fn without_permit<E>(&mut self, polled: Poll<Result<(), E>>) -> Poll<Result<(), E>> {
        // Other handles can use the permit while the inner service is not ready. When it is, it wakes the task, which then waits
        // for a permit again.
        self.permit = None;
        match polled {
            Poll::Ready(Ok(())) if !self.driven => Poll::Pending,
            polled => polled,
        }
    }

    /// Takes a permit for a call without a reservation. A layer that remembers readiness, such as a balancer, may call after the
    /// service was only driven.
    ///
    /// # Panics
    ///
    /// If the service was not ready when it was last driven, or has been called since.
    #[cold]
    fn late_permit(&mut self) -> Permit {
        assert!(
            std::mem::take(&mut self.driven),
            "service not ready; poll_ready must be called first"
        );
        self.wait.take_or_overcommit()
    }
}

refusing_service!(ConcurrencyLimit);
#[cfg(feature = "http")]
crate::http::holding_service!(ConcurrencyLimit<T>);

impl<T> Reserve for ConcurrencyLimit<T> {
    const KIND: LimitKind = LimitKind::Concurrency;

    #[inline]
    fn try_reserve(&mut self) -> Result<(), Option<Instant>> {
        if self.permit.is_none() {
            let permit = self.wait.try_take().ok_or(None)?;
            // The old value is `None`: see `poll_ready`.
            std::mem::forget(self.permit.replace(permit));
        }
        Ok(())
    }

    fn poll_reserve(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.permit = Some(ready!(self.wait.poll(cx)));
        Poll::Ready(())
    }

    fn peek(&mut self) -> Result<(), Option<Instant>> {
        if self.wait.is_free() {
            Ok(())
        } else {
            Err(None)
        }
    }
}

impl<T: Clone> Clone for ConcurrencyLimit<T> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            wait: self.wait.for_clone(),
            permit: None,
            driven: false,
        }
    }
}

#[cfg(feature = "load")]
impl<S: tower_load::Load> tower_load::Load for ConcurrencyLimit<S> {
    type Metric = S::Metric;

    fn load(&self) -> S::Metric {
        self.inner.load()
    }

    fn relative_weight(load: &Self) -> u32 {
        S::relative_weight(&load.inner)
    }
}
