use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use tower_readiness::{Observer, Refusal, event};
use tower_service::Service;
use tower_util::rng::{Rng, SharedSplitMix};

use super::FaultBody;
use super::future::ResponseFuture;
use super::headers::Asked;
use crate::service::report;
use crate::{BoxError, Event, Plan, Switch};

/// Injects faults into HTTP requests and responses; see the [module](super).
#[derive(Clone, Debug)]
pub struct InjectHttpFault<S> {
    inner: S,
    settings: Settings,
    refusal: Refusal,
}

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) plan: Plan,
    pub(super) status: StatusCode,
    /// The share of the bodies that break off, and after how many bytes.
    pub(super) aborting: f64,
    pub(super) abort_after: u64,
    /// `None` if requests cannot ask for faults.
    pub(super) max_delay_by_header: Option<Duration>,
    pub(super) rng: SharedSplitMix,
    pub(super) switch: Switch,
    pub(super) observer: Observer<Event>,
}

impl Settings {
    /// Draws the faults of a request; those that it asks for have precedence.
    fn faults<B>(&self, request: &Request<B>) -> Asked {
        if !self.switch.is_on() {
            return Asked::default();
        }
        let mut rng = self.rng.fork();
        let fault = self.plan.draw(&mut rng);
        let aborts = rng.next_f64() < self.aborting;
        let asked = match self.max_delay_by_header {
            Some(max_delay) => Asked::read(request.headers(), max_delay),
            None => Asked::default(),
        };
        Asked {
            delay: asked.delay.or(fault.delay),
            status: asked.status.or_else(|| fault.fails.then_some(self.status)),
            body_bytes: asked
                .body_bytes
                .or_else(|| aborts.then_some(self.abort_after)),
        }
    }

    #[cold]
    fn report(&self, faults: &Asked) {
        let fault = crate::Fault {
            delay: faults.delay,
            fails: faults.status.is_some(),
        };
        report(&fault, &self.observer);
        if faults.body_bytes.is_some() && !fault.fails {
            event!(DEBUG, "fault injection: breaking off a body");
            self.observer.notify(&Event::BodyAborted);
        }
    }
}

impl<S> InjectHttpFault<S> {
    pub(super) const fn build(inner: S, settings: Settings) -> Self {
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

    /// Consumes `self`, returning the inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for InjectHttpFault<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>, Error: Into<BoxError>>,
{
    type Response = Response<FaultBody<ResBody>>;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.refusal.check()?;
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let faults = self.settings.faults(&request);
        if faults != Asked::default() {
            self.settings.report(&faults);
        }
        if let Some(status) = faults.status {
            self.refusal.release(&mut self.inner);
            return ResponseFuture::responding(faults.delay, status);
        }
        ResponseFuture::called(faults.delay, self.inner.call(request), faults.body_bytes)
    }
}
