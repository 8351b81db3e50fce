use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::time::{Instant, Sleep};
use tower_readiness::Purpose;
use tower_service::Service;

use super::shared::LimitHandle;
use super::{Rate, TokenBucket};
use crate::error::LimitKind;
use crate::refuse::refusing_service;
use crate::refuse::reserve::Reserve;

/// Limits the number of requests per period; see the [module](super).
#[derive(Debug)]
pub struct RateLimit<T> {
    inner: T,
    limit: LimitHandle,
    /// Fires when the next request may be possible. Created when it is first needed, then reused.
    timer: Option<Pin<Box<Sleep>>>,
    /// Whether `timer` is set and has not fired.
    waiting: bool,
    /// Whether a request was possible when the service was last driven, which reserves none.
    driven: bool,
}

impl<T> RateLimit<T> {
    /// Limits the requests to `inner` and all clones of the returned service together to `rate`.
    pub fn new(inner: T, rate: Rate) -> Self {
        Self::with_limit(inner, LimitHandle::new(rate))
    }

    /// Limits the requests to `inner` and all clones of the returned service together to the tokens of `bucket`.
    pub fn token_bucket(inner: T, bucket: TokenBucket) -> Self {
        Self::with_limit(inner, LimitHandle::token_bucket(bucket))
    }

    pub(super) const fn with_limit(inner: T, limit: LimitHandle) -> Self {
        Self {
            inner,
            limit,
            timer: None,
            waiting: false,
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

    /// Returns the inner service, and gives up a reserved request.
    pub fn into_inner(self) -> T {
        self.inner
    }

    /// Waits until `find` succeeds. If it fails, it returns when to try again.
    fn poll_window<R>(
        &mut self,
        cx: &mut Context<'_>,
        find: impl Fn(&mut LimitHandle, &Waker) -> Result<R, Instant>,
    ) -> Poll<R> {
        loop {
            let next = match find(&mut self.limit, cx.waker()) {
                Ok(found) => {
                    self.waiting = false;
                    return Poll::Ready(found);
                }
                Err(next) => next,
            };
            // Other handles may have taken the requests that the timer was set for: then it is reset to a later time.
            match &mut self.timer {
                Some(timer) if self.waiting && timer.deadline() == next => {}
                Some(timer) => timer.as_mut().reset(next),
                None => self.timer = Some(Box::pin(tokio::time::sleep_until(next))),
            }
            self.waiting = true;
            if let Some(timer) = &mut self.timer {
                ready!(timer.as_mut().poll(cx));
            }
            self.waiting = false;
        }
    }
}

impl<S, Request> Service<Request> for RateLimit<S>
where
    S: Service<Request>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        if Purpose::current() != Purpose::Call {
            self.give_back(cx);
        } else if self.limit.reservation.is_none() {
            let reservation = match self.limit.take_fast() {
                Some(reservation) => reservation,
                None => ready!(self.poll_window(cx, LimitHandle::take)),
            };
            self.limit.reservation = Some(reservation);
        }
        let polled = self.inner.poll_ready(cx);
        match polled {
            // Nothing is reserved: no request is going to be sent, or the rate is used up.
            Poll::Ready(Ok(())) if self.limit.reservation.is_none() && !self.driven => {
                Poll::Pending
            }
            polled => polled,
        }
    }

    fn call(&mut self, request: Request) -> S::Future {
        if self.limit.reservation.take().is_none() {
            self.take_late();
        }
        self.inner.call(request)
    }
}

impl<S> RateLimit<S> {
    /// Returns the reservation, as no request is going to be sent. When driven, also finds out whether a request is possible, and
    /// if not, waits to be woken when one is.
    #[cold]
    fn give_back(&mut self, cx: &mut Context<'_>) {
        self.limit.give_back();
        self.driven = Purpose::current() == Purpose::Drive
            && self.poll_window(cx, LimitHandle::peek).is_ready();
    }

    /// Counts a call without a reservation. A layer that remembers readiness, such as a balancer, may call after the service was
    /// only driven; the request exceeds the rate if that is used up.
    ///
    /// # Panics
    ///
    /// If the service was not ready when it was last driven, or has been called since.
    #[cold]
    fn take_late(&mut self) {
        assert!(
            std::mem::take(&mut self.driven),
            "service not ready; poll_ready must be called first"
        );
        self.limit.take_late();
    }
}

refusing_service!(RateLimit);

impl<T> Reserve for RateLimit<T> {
    const KIND: LimitKind = LimitKind::Rate;

    #[inline]
    fn try_reserve(&mut self) -> Result<(), Option<Instant>> {
        if self.limit.reservation.is_none() {
            let reservation = match self.limit.take_fast() {
                Some(reservation) => reservation,
                None => self.limit.try_take().map_err(Some)?,
            };
            self.limit.reservation = Some(reservation);
        }
        Ok(())
    }

    fn poll_reserve(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.limit.reservation = Some(ready!(self.poll_window(cx, LimitHandle::take)));
        Poll::Ready(())
    }

    fn peek(&mut self) -> Result<(), Option<Instant>> {
        self.limit.try_peek().map_err(Some)
    }
}

impl<T: Clone> Clone for RateLimit<T> {
    fn clone(&self) -> Self {
        Self::with_limit(self.inner.clone(), self.limit.for_clone())
    }
}

#[cfg(feature = "load")]
impl<S: tower_load::Load> tower_load::Load for RateLimit<S> {
    type Metric = S::Metric;

    fn load(&self) -> S::Metric {
        self.inner.load()
    }

    fn relative_weight(load: &Self) -> u32 {
        S::relative_weight(&load.inner)
    }
}
