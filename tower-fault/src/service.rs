use std::fmt;
use std::task::{Context, Poll};

use tower_readiness::{Observer, Refusal, event};
use tower_service::Service;
use tower_util::rng::SharedSplitMix;

use crate::error::Injected;
use crate::future::ResponseFuture;
use crate::{BoxError, Event, Fault, Plan, Switch};

/// Delays or fails a share of the requests; see the [crate's documentation](crate).
#[derive(Clone)]
pub struct InjectFault<S, F = AlwaysInjected> {
    inner: S,
    plan: Plan,
    error: F,
    rng: SharedSplitMix,
    switch: Switch,
    observer: Observer<Event>,
    refusal: Refusal,
}

/// Makes the error with which a request fails. Implemented for each `Fn(&Req) -> BoxError`, and for [`AlwaysInjected`].
pub trait MakeError<Req> {
    /// Returns the error of `request`, which is not sent.
    fn make_error(&self, request: &Req) -> BoxError;
}

impl<F, Req> MakeError<Req> for F
where
    F: Fn(&Req) -> BoxError,
{
    fn make_error(&self, request: &Req) -> BoxError {
        self(request)
    }
}

/// Fails each request with [`Injected`]. The default of [`FaultLayer`](crate::FaultLayer).
#[derive(Clone, Copy, Debug, Default)]
pub struct AlwaysInjected;

impl<Req> MakeError<Req> for AlwaysInjected {
    fn make_error(&self, _request: &Req) -> BoxError {
        Injected::new().into()
    }
}

impl<S, F> InjectFault<S, F> {
    pub(crate) const fn build(
        inner: S,
        plan: Plan,
        error: F,
        rng: SharedSplitMix,
        switch: Switch,
        observer: Observer<Event>,
    ) -> Self {
        Self {
            inner,
            plan,
            error,
            rng,
            switch,
            observer,
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

impl<S, F, Req> Service<Req> for InjectFault<S, F>
where
    S: Service<Req, Error: Into<BoxError>>,
    F: MakeError<Req>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.refusal.check()?;
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let fault = match self.switch.is_on() {
            true => self.plan.draw(&mut self.rng.fork()),
            false => Fault::default(),
        };
        if fault != Fault::default() {
            report(&fault, &self.observer);
        }
        if fault.fails {
            let error = self.error.make_error(&request);
            self.refusal.release(&mut self.inner);
            return ResponseFuture::failing(fault.delay, error);
        }
        ResponseFuture::called(fault.delay, self.inner.call(request))
    }
}

#[cold]
pub(crate) fn report(fault: &Fault, observer: &Observer<Event>) {
    if let Some(delay) = fault.delay {
        event!(DEBUG, ?delay, "fault injection: delaying a request");
        observer.notify(&Event::Delayed(delay));
    }
    if fault.fails {
        event!(DEBUG, "fault injection: failing a request");
        observer.notify(&Event::Failed);
    }
}

impl<S: fmt::Debug, F> fmt::Debug for InjectFault<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InjectFault")
            .field("inner", &self.inner)
            .field("plan", &self.plan)
            .field("switch", &self.switch)
            .finish_non_exhaustive()
    }
}
