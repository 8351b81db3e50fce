use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_classify::{Class, Classify, ErrorIsFailure};
use tower_readiness::{Purpose, Refusal, release};
use tower_service::Service;
use tower_util::InvalidPolicy;

use super::BreakerHandle;
use super::layer::Settings;
use super::shared::Shared;
use super::waiter::Waiter;
use crate::BoxError;
use crate::call::{Calls, Ledger};
use crate::error::Open;
use crate::fallback::{Fallback, Reject};
use crate::future::ResponseFuture;
use crate::policy::{BreakerPolicy, Ticket};

/// Sends no requests to a service that fails; see the [crate's documentation](crate).
///
/// The parameters `C` and `F` are those of [`CircuitBreakerLayer`](crate::CircuitBreakerLayer).
pub struct CircuitBreaker<S, C = ErrorIsFailure, F = Reject> {
    inner: S,
    calls: Calls<Shared, C>,
    fallback: F,
    mode: Mode,
    waiter: Waiter,
    inner_state: InnerState,
    /// The place of a probe that `poll_ready` has reserved for the next call; only with [`Mode::Wait`].
    probe: Option<Reservation>,
    refusal: Refusal,
}

/// What happens while the breaker is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Requests are rejected.
    Reject,
    /// Callers wait in `poll_ready`.
    Wait,
}

/// What the inner service may have reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InnerState {
    Released,
    Pending,
    Ready,
}

impl<S> CircuitBreaker<S> {
    /// Wraps `inner` with a breaker of this policy. To set more than that, use a
    /// [`CircuitBreakerLayer`](crate::CircuitBreakerLayer).
    ///
    /// # Panics
    ///
    /// If a setting of the policy is out of range; see [`try_new`](Self::try_new).
    pub fn new(inner: S, policy: BreakerPolicy) -> Self {
        Self::try_new(inner, policy).expect("the policy of the circuit breaker is valid")
    }

    /// Wraps `inner` with a breaker of this policy.
    ///
    /// # Errors
    ///
    /// If a number of failures, probes or successes is 0, a ratio is not more than 0 and at most 1, or the window or
    /// the time of a probe is zero.
    pub fn try_new(inner: S, policy: BreakerPolicy) -> Result<Self, InvalidPolicy> {
        let shared = Settings::new(policy)?.create();
        Ok(Self::build(
            inner,
            shared,
            ErrorIsFailure,
            Reject,
            Mode::Reject,
        ))
    }
}

impl<S, C, F> CircuitBreaker<S, C, F> {
    pub(crate) fn build(
        inner: S,
        shared: Arc<Shared>,
        classify: C,
        fallback: F,
        mode: Mode,
    ) -> Self {
        Self {
            inner,
            waiter: Waiter::new(Arc::clone(&shared)),
            calls: Calls::new(shared, classify),
            fallback,
            mode,
            inner_state: InnerState::Released,
            probe: None,
            refusal: Refusal::new(),
        }
    }

    /// Returns a handle of the breaker.
    pub fn breaker(&self) -> BreakerHandle {
        BreakerHandle::new(Arc::clone(self.waiter.shared()))
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

impl<S, C, F, Req> Service<Req> for CircuitBreaker<S, C, F>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
    C: Classify<Req, S::Response, BoxError> + Clone,
    F: Fallback<Req, S::Response>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future, F::Future, Shared, C, C::Info, Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.refusal.check()?;
        if Purpose::current() != Purpose::Call {
            return self.poll_without_request(cx);
        }
        match self.mode {
            Mode::Reject => self.poll_or_reject(cx),
            Mode::Wait => self.poll_or_wait(cx),
        }
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let inner_state = std::mem::replace(&mut self.inner_state, InnerState::Released);
        match self.begin(inner_state) {
            Ok(ticket) => {
                let in_flight = self.calls.begin(ticket);
                let info = in_flight.classify().info(&request);
                ResponseFuture::called(self.inner.call(request), in_flight, info)
            }
            Err(open) => {
                if inner_state == InnerState::Ready {
                    self.refusal.release(&mut self.inner);
                }
                self.waiter.shared().reject(open);
                ResponseFuture::rejected(self.fallback.respond(request, open))
            }
        }
    }
}

impl<S, C, F> CircuitBreaker<S, C, F> {
    /// Ready if the inner service is, or if the request is going to be rejected.
    #[inline]
    fn poll_or_reject<Req>(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>>
    where
        S: Service<Req, Error: Into<BoxError>>,
    {
        if self.waiter.shared().check().is_ok() {
            if self.poll_inner(cx)?.is_ready() {
                return Poll::Ready(Ok(()));
            }
            // The task is woken when the breaker opens, and its request is rejected then.
            if self.waiter.watch(cx.waker()).is_ok() {
                return Poll::Pending;
            }
        }
        Poll::Ready(self.release_inner(cx))
    }

    /// Ready if the inner service is, and the breaker is closed or a probe is reserved.
    fn poll_or_wait<Req>(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>>
    where
        S: Service<Req, Error: Into<BoxError>>,
    {
        loop {
            self.probe.take_if(|probe| !probe.is_current());
            let waits = match &self.probe {
                None => self.waiter.poll(cx).is_pending(),
                Some(_) => {
                    // Its own probe may be the last that is possible.
                    let _full = self.waiter.watch(cx.waker());
                    false
                }
            };
            if waits {
                self.release_inner(cx)?;
                return Poll::Pending;
            }
            if self.poll_inner(cx)?.is_pending() {
                // Others may be able to use the place. They need not be polled for this one to get ready.
                self.probe = None;
                return Poll::Pending;
            }
            if self.probe.is_some() || self.waiter.shared().is_closed() {
                return Poll::Ready(Ok(()));
            }
            // Only now, so that no place is reserved while the inner service is not ready.
            if let Ok(ticket) = self.waiter.shared().begin() {
                self.probe = Some(Reservation::new(self.waiter.shared(), ticket));
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Lets the inner service make progress also while the breaker is open.
    #[cold]
    fn poll_without_request<Req>(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>>
    where
        S: Service<Req, Error: Into<BoxError>>,
    {
        self.probe = None;
        let polled = self.poll_inner(cx)?;
        if Purpose::current() == Purpose::Release {
            self.inner_state = InnerState::Released;
            return polled.map(Ok);
        }
        let waits = match self.mode {
            Mode::Reject => polled.is_pending() && self.waiter.watch(cx.waker()).is_ok(),
            Mode::Wait => self.waiter.poll(cx).is_pending() || polled.is_pending(),
        };
        match waits {
            true => Poll::Pending,
            false => Poll::Ready(Ok(())),
        }
    }

    fn poll_inner<Req>(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, BoxError>
    where
        S: Service<Req, Error: Into<BoxError>>,
    {
        let polled = self.inner.poll_ready(cx);
        self.inner_state = match polled {
            Poll::Ready(_) => InnerState::Ready,
            Poll::Pending => InnerState::Pending,
        };
        match polled {
            Poll::Ready(result) => result.map(Poll::Ready).map_err(Into::into),
            Poll::Pending => Ok(Poll::Pending),
        }
    }

    /// Releases what the inner service has reserved, and its place in a queue.
    fn release_inner<Req>(&mut self, cx: &mut Context<'_>) -> Result<(), BoxError>
    where
        S: Service<Req, Error: Into<BoxError>>,
    {
        match std::mem::replace(&mut self.inner_state, InnerState::Released) {
            InnerState::Released => Ok(()),
            InnerState::Pending | InnerState::Ready => {
                release(&mut self.inner, cx).map_err(Into::into)
            }
        }
    }

    #[inline]
    fn begin(&mut self, inner_state: InnerState) -> Result<Ticket, Open> {
        if let Some(ticket) = self.probe.take().and_then(Reservation::into_current) {
            return Ok(ticket);
        }
        match inner_state {
            InnerState::Ready => self.waiter.shared().begin(),
            // The breaker was open when this became ready, whatever it is now.
            _ => Err(match self.waiter.shared().check() {
                Ok(()) => Open::new(None),
                Err(open) => open,
            }),
        }
    }
}

/// The clone has no reservation.
impl<S: Clone, C, F: Clone> Clone for CircuitBreaker<S, C, F> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            calls: self.calls.clone(),
            fallback: self.fallback.clone(),
            mode: self.mode,
            waiter: self.waiter.for_clone(),
            inner_state: InnerState::Released,
            probe: None,
            refusal: Refusal::new(),
        }
    }
}

impl<S: fmt::Debug, C, F> fmt::Debug for CircuitBreaker<S, C, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreaker")
            .field("inner", &self.inner)
            .field("breaker", self.waiter.shared())
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "load")]
impl<S: tower_load::Load, C, F> tower_load::Load for CircuitBreaker<S, C, F> {
    type Metric = S::Metric;

    fn load(&self) -> S::Metric {
        self.inner.load()
    }

    fn relative_weight(load: &Self) -> u32 {
        S::relative_weight(&load.inner)
    }
}

/// The place of a probe, which is free again when this is dropped.
struct Reservation {
    shared: Arc<Shared>,
    ticket: Option<Ticket>,
}

impl Reservation {
    fn new(shared: &Arc<Shared>, ticket: Ticket) -> Self {
        Self {
            shared: Arc::clone(shared),
            ticket: Some(ticket),
        }
    }

    /// Whether the state has not changed since.
    fn is_current(&self) -> bool {
        let ticket = self.ticket.as_ref();
        ticket.is_some_and(|ticket| self.shared.is_current(ticket))
    }

    fn into_current(mut self) -> Option<Ticket> {
        match self.is_current() {
            true => self.ticket.take(),
            false => None,
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.shared.end(ticket, Class::Ignored, None);
        }
    }
}
