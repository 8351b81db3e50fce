//! Response futures.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_readiness::event;
use tower_service::Service;

use crate::Policy;

pin_project! {
    /// The response future of a [`Retry`](crate::Retry).
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct ResponseFuture<P, S, Request>
    where
        P: Policy<Request, S::Response, S::Error>,
        S: Service<Request>,
    {
        policy: P,
        // `None` if no further attempt is possible.
        next_attempt: Option<NextAttempt<Request, S>>,
        #[pin]
        state: State<S, S::Future, P::Future>,
    }
}

/// What is needed for a further attempt.
#[derive(Debug)]
pub(crate) struct NextAttempt<Request, S> {
    pub(crate) request: Request,
    /// Never polled: each attempt uses a clone of it, since a service whose `poll_ready` failed must not be polled next_attempt.
    pub(crate) service: S,
}

pin_project! {
    #[project = StateProj]
    #[derive(Debug)]
    enum State<S, F, W> {
        Called { #[pin] response: F },
        // Until the policy's future completes.
        Waiting { #[pin] wait: W },
        // Until the service of the next attempt is ready.
        Retrying { service: S },
    }
}

impl<P, S, Request> ResponseFuture<P, S, Request>
where
    P: Policy<Request, S::Response, S::Error>,
    S: Service<Request>,
{
    #[inline]
    pub(crate) fn new(
        policy: P,
        response: S::Future,
        next_attempt: Option<NextAttempt<Request, S>>,
    ) -> Self {
        Self {
            policy,
            next_attempt,
            state: State::Called { response },
        }
    }

    /// Returns the result if it is final. Otherwise starts to wait for the next attempt, and returns `None`.
    #[inline]
    fn last(
        mut self: Pin<&mut Self>,
        mut result: Result<S::Response, S::Error>,
    ) -> Option<Result<S::Response, S::Error>> {
        let this = self.as_mut().project();
        let Some(next_attempt) = this.next_attempt else {
            return Some(result);
        };
        let Some(wait) = this.policy.retry(&mut next_attempt.request, &mut result) else {
            // Frees what the copy of the request holds, such as the body, before the future is dropped.
            *this.next_attempt = None;
            return Some(result);
        };
        self.wait(wait, result);
        None
    }

    #[cold]
    fn wait(self: Pin<&mut Self>, wait: P::Future, result: Result<S::Response, S::Error>) {
        event!(DEBUG, failed = result.is_err(), "retrying a request");
        // Dropped before the wait: the next attempt may need what the response holds, such as a connection.
        drop(result);
        self.project().state.set(State::Waiting { wait });
    }
}

impl<P, S, Request> ResponseFuture<P, S, Request>
where
    P: Policy<Request, S::Response, S::Error>,
    S: Service<Request> + Clone,
{
    #[cold]
    fn poll_retries(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<S::Response, S::Error>> {
        loop {
            let mut this = self.as_mut().project();
            let result = match this.state.as_mut().project() {
                StateProj::Called { response } => match response.poll(cx) {
                    Poll::Ready(result) => result,
                    Poll::Pending => Err(ready!(P::poll_give_up(this.policy, cx))),
                },
                // ## Waiting => Retrying
                StateProj::Waiting { wait } => {
                    ready!(wait.poll(cx));
                    let next_attempt = this.next_attempt.as_ref().expect(NEXT_ATTEMPT);
                    let service = next_attempt.service.clone();
                    this.state.set(State::Retrying { service });
                    continue;
                }
                StateProj::Retrying { service } => match service.poll_ready(cx) {
                    Poll::Pending => Err(ready!(P::poll_give_up(this.policy, cx))),
                    // ## Retrying => Called
                    Poll::Ready(Ok(())) => {
                        let next_attempt = this.next_attempt.take().expect(NEXT_ATTEMPT);
                        let next = this.policy.clone_request(&next_attempt.request);
                        let response = service.call(next_attempt.request);
                        this.state.set(State::Called { response });
                        *this.next_attempt = next.map(|request| NextAttempt {
                            request,
                            ..next_attempt
                        });
                        continue;
                    }
                    Poll::Ready(Err(error)) => Err(error),
                },
            };
            // ## Called | Retrying => Waiting
            if let Some(result) = self.as_mut().last(result) {
                return Poll::Ready(result);
            }
        }
    }
}

impl<P, S, Request> Future for ResponseFuture<P, S, Request>
where
    P: Policy<Request, S::Response, S::Error>,
    S: Service<Request> + Clone,
{
    type Output = Result<S::Response, S::Error>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // The fast path: most requests are sent once.
        let this = self.as_mut().project();
        if let StateProj::Called { response } = this.state.project() {
            let result = match response.poll(cx) {
                Poll::Ready(result) => result,
                Poll::Pending => Err(ready!(P::poll_give_up(this.policy, cx))),
            };
            if let Some(result) = self.as_mut().last(result) {
                return Poll::Ready(result);
            }
        }
        self.poll_retries(cx)
    }
}

const NEXT_ATTEMPT: &str = "a policy that retries has a request to send";
