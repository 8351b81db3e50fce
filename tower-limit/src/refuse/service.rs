use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;
use tower_readiness::{Observer, Purpose, release};
use tower_service::Service;

use super::Limit;
use super::future::ResponseFuture;
use crate::error::LimitExceeded;
use crate::timer::Timer;
use crate::{BoxError, Event, event};

/// Refuses the requests that a limit would make wait; see the [module](super).
#[derive(Debug)]
pub struct Refuse<L> {
    limit: L,
    /// How long a request may wait; `None` if it must not.
    max_wait: Option<Duration>,
    /// Set while a request waits.
    deadline: Option<Instant>,
    timer: Timer,
    /// Whether the limit was polled for a request that it has not received: then it, and the services below, may wait for
    /// something or have reserved it.
    polled: bool,
    /// Whether the next call is refused.
    refused: Option<Refused>,
    observer: Observer<Event>,
}

#[derive(Clone, Copy, Debug)]
struct Refused {
    /// When the limit admits a request, if known.
    retry_at: Option<Instant>,
}

impl<L> Refuse<L> {
    pub(crate) const fn new(
        limit: L,
        max_wait: Option<Duration>,
        observer: Observer<Event>,
    ) -> Self {
        Self {
            limit,
            max_wait,
            deadline: None,
            timer: Timer::new(),
            polled: false,
            refused: None,
            observer,
        }
    }

    /// Calls `observe` for each refused request.
    #[must_use]
    pub fn on_event(mut self, observe: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.observer = Observer::new(observe);
        self
    }

    /// Returns a reference to the limit.
    pub const fn get_ref(&self) -> &L {
        &self.limit
    }

    /// Returns a mutable reference to the limit.
    pub const fn get_mut(&mut self) -> &mut L {
        &mut self.limit
    }

    /// Returns the limit.
    pub fn into_inner(self) -> L {
        self.limit
    }
}

impl<L: Limit> Refuse<L> {
    /// Waits for the limit. Returns `Err` when the request must be refused.
    #[inline]
    fn poll_limit(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refused>> {
        match self.limit.try_reserve() {
            Ok(()) => {
                self.deadline = None;
                Poll::Ready(Ok(()))
            }
            Err(retry_at) => self.poll_deadline(Refused { retry_at }, cx),
        }
    }

    #[cold]
    fn poll_deadline(
        &mut self,
        refused: Refused,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Refused>> {
        let Some(max_wait) = self.max_wait else {
            return Poll::Ready(Err(refused));
        };
        // A request that has been refused does not wait again.
        if self.refused.is_some() {
            return Poll::Ready(Err(refused));
        }
        let begin = || Timer::deadline_in(max_wait);
        let deadline = *self.deadline.get_or_insert_with(begin);
        if refused.retry_at.is_none_or(|at| at <= deadline) {
            self.polled = true;
            if self.limit.poll_reserve(cx).is_ready() {
                self.deadline = None;
                return Poll::Ready(Ok(()));
            }
            ready!(self.timer.poll(deadline, cx));
        }
        Poll::Ready(Err(refused))
    }

    /// Polls the limit while no request is going to be sent.
    #[cold]
    fn poll_idle<Req>(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>>
    where
        L: Service<Req, Error: Into<BoxError>>,
    {
        (self.deadline, self.refused, self.polled) = (None, None, false);
        let polled = self.limit.poll_ready(cx);
        if polled.is_pending()
            && self.max_wait.is_none()
            && let Err(retry_at) = self.limit.peek()
        {
            // A request would not wait, so this is ready to refuse it, even if it is called without being polled again.
            self.refused = Some(Refused { retry_at });
            return Poll::Ready(Ok(()));
        }
        polled.map_err(Into::into)
    }

    #[cold]
    fn refuse(&self, refused: Refused) -> LimitExceeded {
        let retry_after = refused
            .retry_at
            .map(|at| at.saturating_duration_since(Instant::now()));
        event::refuse(L::KIND, retry_after, &self.observer)
    }
}

#[cfg(all(feature = "concurrency", feature = "http"))]
crate::http::holding_service!(Refuse<L>);

impl<L, Req> Service<Req> for Refuse<L>
where
    L: Limit + Service<Req>,
    L::Error: Into<BoxError>,
{
    type Response = L::Response;
    type Error = BoxError;
    type Future = ResponseFuture<L::Future>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if Purpose::current() != Purpose::Call {
            return self.poll_idle(cx);
        }
        if let Err(refused) = ready!(self.poll_limit(cx)) {
            self.deadline = None;
            self.refused = Some(refused);
            if std::mem::take(&mut self.polled) {
                release(&mut self.limit, cx).map_err(Into::into)?;
            }
            return Poll::Ready(Ok(()));
        }
        self.refused = None;
        self.polled = true;
        self.limit.poll_ready(cx).map_err(Into::into)
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        self.polled = false;
        match self.refused.take() {
            Some(refused) => ResponseFuture::refused(self.refuse(refused)),
            None => ResponseFuture::called(self.limit.call(request)),
        }
    }
}

impl<L: Clone> Clone for Refuse<L> {
    fn clone(&self) -> Self {
        Self::new(self.limit.clone(), self.max_wait, self.observer.clone())
    }
}

#[cfg(feature = "load")]
impl<L: tower_load::Load> tower_load::Load for Refuse<L> {
    type Metric = L::Metric;

    fn load(&self) -> L::Metric {
        self.limit.load()
    }

    fn relative_weight(load: &Self) -> u32 {
        L::relative_weight(&load.limit)
    }
}
