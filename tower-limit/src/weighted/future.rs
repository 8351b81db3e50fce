//! Response futures.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_readiness::Observer;
use tower_service::Service;

use super::permits::{Permits, Wait};
use crate::error::{LimitExceeded, LimitKind};
use crate::hold::HoldPermit;
use crate::timer::Timer;
use crate::{BoxError, Event, event};

pin_project! {
    /// The response future of a [`WeightedConcurrencyLimit`](super::WeightedConcurrencyLimit). Holds the request's permits until the
    /// response is ready, or until it is dropped.
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct ResponseFuture<S, F, Req> {
        #[pin]
        state: State<S, F, Req>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F, Req> {
        Waiting {
            // `None` once the service has been called.
            ready: Option<(S, Req)>,
            wait: Wait,
            deadline: Option<Instant>,
            timer: Timer,
            observer: Observer<Event>,
        },
        Called { #[pin] response: F, permits: Option<Permits> },
        Refused { error: LimitExceeded },
    }
}

/// The permits of a request whose response is ready, until they are dropped.
#[derive(Debug)]
pub struct HeldPermits(#[expect(dead_code, reason = "returned when they are dropped")] Permits);

impl<S, F, Req> ResponseFuture<S, F, Req> {
    #[inline]
    pub(super) const fn called(response: F, permits: Permits) -> Self {
        let permits = Some(permits);
        Self {
            state: State::Called { response, permits },
        }
    }

    pub(super) const fn refused(error: LimitExceeded) -> Self {
        Self {
            state: State::Refused { error },
        }
    }

    pub(super) fn waiting(
        ready: S,
        request: Req,
        wait: Wait,
        max_wait: Option<Duration>,
        observer: Observer<Event>,
    ) -> Self {
        Self {
            state: State::Waiting {
                ready: Some((ready, request)),
                wait,
                deadline: max_wait.map(Timer::deadline_in),
                timer: Timer::new(),
                observer,
            },
        }
    }
}

impl<S, Req, T, E> HoldPermit for ResponseFuture<S, S::Future, Req>
where
    S: Service<Req, Response = T, Error = E>,
    E: Into<BoxError>,
{
    type Permit = HeldPermits;

    #[inline]
    fn poll_holding(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<(Self::Output, Option<HeldPermits>)> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                // ## Waiting => (Waiting | Called | Refused)
                StateProj::Waiting {
                    ready,
                    wait,
                    deadline,
                    timer,
                    observer,
                } => match wait.poll(cx) {
                    Poll::Ready(permits) => {
                        let (mut service, request) = ready.take().expect("it is called once");
                        State::Called {
                            response: service.call(request),
                            permits: Some(permits),
                        }
                    }
                    Poll::Pending => {
                        let Some(deadline) = *deadline else {
                            return Poll::Pending;
                        };
                        ready!(timer.poll(deadline, cx));
                        let error = event::refuse(LimitKind::Concurrency, None, observer);
                        State::Refused { error }
                    }
                },
                StateProj::Called { response, permits } => {
                    let result = ready!(response.poll(cx));
                    let permits = permits.take().map(HeldPermits);
                    return Poll::Ready((result.map_err(Into::into), permits));
                }
                StateProj::Refused { error } => {
                    return Poll::Ready((Err(error.boxed()), None));
                }
            };
            state.set(next);
        }
    }
}

impl<S, Req, T, E> Future for ResponseFuture<S, S::Future, Req>
where
    S: Service<Req, Response = T, Error = E>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (output, permits) = ready!(self.poll_holding(cx));
        drop(permits);
        Poll::Ready(output)
    }
}

impl<S, F, Req> fmt::Debug for ResponseFuture<S, F, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.state {
            State::Waiting { .. } => "ResponseFuture(Waiting)",
            State::Called { .. } => "ResponseFuture(Called)",
            State::Refused { .. } => "ResponseFuture(Refused)",
        })
    }
}
