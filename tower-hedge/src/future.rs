use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};
use tower_service::Service;
use tower_util::Oneshot;

use crate::service::Shared;
use crate::{BoxError, Policy};

pin_project! {
    /// The response of a [`Hedge`](crate::Hedge).
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct Future<S, P, Request>
    where
        S: Service<Request>,
    {
        #[pin]
        first: First<S::Future>,
        #[pin]
        second: Second<S, P, Request>,
        shared: Shared,
        began: Instant,
    }

    impl<S, P, Request> PinnedDrop for Future<S, P, Request>
    where
        S: Service<Request>,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            // The caller has lost patience. That the first request took so long must not be forgotten.
            if matches!(*this.first, First::Sent { .. }) && matches!(*this.second, Second::Sent { .. }) {
                this.shared.record(*this.began);
            }
        }
    }
}

pin_project! {
    #[project = FirstProj]
    enum First<F> {
        Sent { #[pin] response: F },
        // The second request is on its way and may still succeed.
        Failed { error: Option<BoxError> },
        Done,
    }
}

pin_project! {
    #[project = SecondProj]
    enum Second<S, P, Request>
    where
        S: Service<Request>,
    {
        // Not waited for yet: most responses come before anyone needs a timer.
        Planned { slow: Duration, plan: Option<Plan<S, P, Request>> },
        Waiting { #[pin] timer: Sleep, plan: Option<Plan<S, P, Request>> },
        Sent { #[pin] response: Oneshot<S, Request> },
        // There is none, or no more.
        Over,
    }
}

/// What may be sent, by whose leave, and to whom.
struct Plan<S, P, Request> {
    policy: P,
    service: S,
    request: Request,
}

impl<S, P, Request> Future<S, P, Request>
where
    S: Service<Request>,
{
    pub(crate) fn new(
        response: S::Future,
        second: Option<(Duration, P, S, Request)>,
        shared: Shared,
        began: Instant,
    ) -> Self {
        Self {
            first: First::Sent { response },
            second: match second {
                Some((slow, policy, service, request)) => Second::Planned {
                    slow,
                    plan: Some(Plan {
                        policy,
                        service,
                        request,
                    }),
                },
                None => Second::Over,
            },
            shared,
            began,
        }
    }
}

impl<S, P, Request> std::future::Future for Future<S, P, Request>
where
    S: Service<Request>,
    S::Error: Into<BoxError>,
    P: Policy<Request>,
{
    type Output = Result<S::Response, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let FirstProj::Sent { response } = this.first.as_mut().project() {
            match response.poll(cx) {
                Poll::Ready(Ok(response)) => {
                    this.first.set(First::Done);
                    this.second.set(Second::Over);
                    this.shared.record(*this.began);
                    this.shared.deposit();
                    return Poll::Ready(Ok(response));
                }
                Poll::Ready(Err(error)) => {
                    let error = error.into();
                    if !matches!(*this.second, Second::Sent { .. }) {
                        this.first.set(First::Done);
                        this.second.set(Second::Over);
                        return Poll::Ready(Err(error));
                    }
                    tracing::debug!(%error, "the first of two requests failed");
                    this.first.set(First::Failed { error: Some(error) });
                }
                Poll::Pending => {}
            }
        }
        match ready!(this.second.as_mut().poll(cx, this.shared, *this.began)) {
            Ok(response) => {
                if matches!(*this.first, First::Sent { .. }) {
                    this.shared.record(*this.began);
                }
                this.first.set(First::Done);
                this.shared.deposit();
                Poll::Ready(Ok(response))
            }
            Err(error) => match this.first.as_mut().project() {
                FirstProj::Failed { error: first } => {
                    let first = first.take().expect("taken once, with the end");
                    this.first.set(First::Done);
                    Poll::Ready(Err(first))
                }
                FirstProj::Sent { .. } | FirstProj::Done => {
                    tracing::debug!(%error, "the second of two requests failed");
                    Poll::Pending
                }
            },
        }
    }
}

impl<S, P, Request> Second<S, P, Request>
where
    S: Service<Request>,
    S::Error: Into<BoxError>,
    P: Policy<Request>,
{
    /// Pending for ever if there is no second request.
    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        shared: &Shared,
        began: Instant,
    ) -> Poll<Result<S::Response, BoxError>> {
        loop {
            match self.as_mut().project() {
                // ## Planned => Waiting | Over
                SecondProj::Planned { slow, plan } => {
                    let next = match began.checked_add(*slow) {
                        Some(at) => Self::Waiting {
                            timer: tokio::time::sleep_until(at),
                            plan: plan.take(),
                        },
                        None => Self::Over,
                    };
                    self.set(next);
                }
                // ## Waiting => Sent | Over
                SecondProj::Waiting { timer, plan } => {
                    ready!(timer.poll(cx));
                    let plan = plan.take().expect("taken once, with the change of state");
                    let next = if !plan.policy.can_retry(&plan.request) {
                        Self::Over
                    } else if !shared.withdraw() {
                        tracing::debug!("no budget to send a slow request a second time");
                        Self::Over
                    } else {
                        tracing::debug!("sending a slow request a second time");
                        Self::Sent {
                            response: Oneshot::new(plan.service, plan.request),
                        }
                    };
                    self.set(next);
                }
                // ## Sent => Over
                SecondProj::Sent { response } => {
                    let result = ready!(response.poll(cx));
                    self.set(Self::Over);
                    return Poll::Ready(result.map_err(Into::into));
                }
                SecondProj::Over => return Poll::Pending,
            }
        }
    }
}

impl<S, P, Request> fmt::Debug for Future<S, P, Request>
where
    S: Service<Request>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sent = match (&self.first, &self.second) {
            (First::Done, _) => 0,
            (_, Second::Sent { .. }) => 2,
            _ => 1,
        };
        f.debug_struct("Future")
            .field("requests", &sent)
            .finish_non_exhaustive()
    }
}
