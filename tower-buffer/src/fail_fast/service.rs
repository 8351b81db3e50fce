use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};
use tower_readiness::event;
use tower_service::Service;

use super::{ResponseFuture, Unavailable};
use crate::BoxError;

/// Fails requests immediately once `S` has not been ready for some time; see the [module](super).
#[derive(Debug)]
pub struct FailFast<S> {
    inner: S,
    max_wait: Duration,
    state: State,
    /// Created when it is first needed, then reused.
    timer: Option<Pin<Box<Sleep>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The inner service was ready when it was last polled, or has not been polled.
    Open,
    /// It is pending, and the timer runs.
    Waiting,
    /// It has been pending for too long.
    Failing,
}

impl<S> FailFast<S> {
    /// Wraps `inner`: requests fail once it has been pending for `max_wait`.
    pub const fn new(inner: S, max_wait: Duration) -> Self {
        Self {
            inner,
            max_wait,
            state: State::Open,
            timer: None,
        }
    }

    /// Returns a reference to the inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns a mutable reference to the inner service.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Consumes `self`, returning the inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }

    fn arm_timer(&mut self) {
        // A deadline that the clock cannot represent is no deadline.
        let deadline = Instant::now().checked_add(self.max_wait);
        match (&mut self.timer, deadline) {
            (Some(timer), Some(deadline)) => timer.as_mut().reset(deadline),
            (None, Some(deadline)) => {
                self.timer = Some(Box::pin(tokio::time::sleep_until(deadline)))
            }
            (_, None) => self.timer = None,
        }
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.timer {
            Some(timer) => timer.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

impl<S, Req> Service<Req> for FailFast<S>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if let Poll::Ready(result) = self.inner.poll_ready(cx) {
            // ## Waiting | Failing => Open
            if self.state == State::Failing {
                event!(INFO, "service is available again");
            }
            self.state = State::Open;
            return Poll::Ready(result.map_err(Into::into));
        }
        // ## Open => Waiting
        if self.state == State::Open {
            self.arm_timer();
            self.state = State::Waiting;
        }
        // ## Waiting => Failing
        if self.state == State::Waiting {
            if self.poll_timer(cx).is_pending() {
                return Poll::Pending;
            }
            event!(WARN, waited = ?self.max_wait, "service is unavailable: failing its requests immediately");
            self.state = State::Failing;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        match self.state {
            State::Failing => ResponseFuture::refused(Unavailable::new(self.max_wait)),
            State::Open | State::Waiting => ResponseFuture::called(self.inner.call(request)),
        }
    }
}

impl<S: Clone> Clone for FailFast<S> {
    /// The clone has not polled its inner service yet, and begins a new wait.
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.max_wait)
    }
}
