use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::time::{Instant, Sleep};
use tower_readiness::Purpose;
use tower_service::Service;

use super::Rate;
use super::shared::Share;

/// Lets at most so many requests through in a period; see the [module](super).
#[derive(Debug)]
pub struct RateLimit<T> {
    inner: T,
    share: Share,
    /// Until the next period. Made when it is first needed, then used again.
    timer: Option<Pin<Box<Sleep>>>,
    waiting: bool,
    /// It was ready when it was driven, without reserving anything.
    driven: bool,
}

impl<T> RateLimit<T> {
    /// Lets requests to `inner` and all clones through at `rate`.
    pub fn new(inner: T, rate: Rate) -> Self {
        Self::with_share(inner, Share::new(rate))
    }

    pub(super) const fn with_share(inner: T, share: Share) -> Self {
        Self {
            inner,
            share,
            timer: None,
            waiting: false,
            driven: false,
        }
    }

    /// The service inside.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// The service inside.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    /// The service inside.
    pub fn into_inner(self) -> T {
        self.inner
    }

    /// Waits until `find` finds something. Otherwise it says when it may.
    fn poll_window<R>(
        &mut self,
        cx: &mut Context<'_>,
        find: impl Fn(&mut Share, &Waker) -> Result<R, Instant>,
    ) -> Poll<R> {
        loop {
            let next = match find(&mut self.share, cx.waker()) {
                Ok(found) => {
                    self.waiting = false;
                    return Poll::Ready(found);
                }
                Err(next) => next,
            };
            // Another handle may have begun the next period, and used it up: the timer runs until the one after.
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
        } else if self.share.taken.is_none() {
            let taken = match self.share.take_ticket() {
                Some(taken) => taken,
                None => ready!(self.poll_window(cx, Share::take)),
            };
            self.share.taken = Some(taken);
        }
        let polled = self.inner.poll_ready(cx);
        match polled {
            // There is no request, and none could be let through.
            Poll::Ready(Ok(())) if self.share.taken.is_none() && !self.driven => Poll::Pending,
            polled => polled,
        }
    }

    fn call(&mut self, request: Request) -> S::Future {
        if self.share.taken.take().is_none() {
            self.take_late();
        }
        self.inner.call(request)
    }
}

impl<S> RateLimit<S> {
    /// There is no request: nothing is reserved, and nothing waited for but to know whether something could be.
    #[cold]
    fn give_back(&mut self, cx: &mut Context<'_>) {
        self.share.give_back();
        self.driven =
            Purpose::current() == Purpose::Drive && self.poll_window(cx, Share::look).is_ready();
    }

    /// Counts a request that was not polled for. A layer that keeps in mind who is ready may make one after it was driven;
    /// then it goes beyond the rate if that is used up.
    #[cold]
    fn take_late(&mut self) {
        assert!(
            std::mem::take(&mut self.driven),
            "service not ready; poll_ready must be called first"
        );
        self.share.take_late();
    }
}

impl<T: Clone> Clone for RateLimit<T> {
    fn clone(&self) -> Self {
        Self::with_share(self.inner.clone(), self.share.again())
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
