//! Response futures.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_readiness::event;
use tower_service::Service;

use crate::Policy;

pin_project! {
    /// The response of a [`Retry`](crate::Retry).
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct ResponseFuture<P, S, Request>
    where
        P: Policy<Request, S::Response, S::Error>,
        S: Service<Request>,
    {
        policy: P,
        // `None` once there can be no further attempt.
        again: Option<Again<Request, S>>,
        #[pin]
        state: State<S, S::Future, P::Future>,
    }
}

/// What a further attempt is made of.
#[derive(Debug)]
pub(crate) struct Again<Request, S> {
    pub(crate) request: Request,
    /// Never polled: each attempt has a clone of it. One whose readiness failed must not be polled again.
    pub(crate) service: S,
}

pin_project! {
    #[project = StateProj]
    #[derive(Debug)]
    enum State<S, F, W> {
        Called { #[pin] response: F },
        // For as long as the policy says.
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
    pub(crate) fn new(policy: P, response: S::Future, again: Option<Again<Request, S>>) -> Self {
        Self {
            policy,
            again,
            state: State::Called { response },
        }
    }

    /// The result if it is the last; otherwise there is an attempt to wait for.
    #[inline]
    fn last(
        mut self: Pin<&mut Self>,
        mut result: Result<S::Response, S::Error>,
    ) -> Option<Result<S::Response, S::Error>> {
        let this = self.as_mut().project();
        let Some(again) = this.again else {
            return Some(result);
        };
        let Some(wait) = this.policy.retry(&mut again.request, &mut result) else {
            // What a copy of the request holds, such as the body, need not wait for the end of the future.
            *this.again = None;
            return Some(result);
        };
        self.wait(wait, result);
        None
    }

    #[cold]
    fn wait(self: Pin<&mut Self>, wait: P::Future, result: Result<S::Response, S::Error>) {
        event!(DEBUG, failed = result.is_err(), "sending a request again");
        // What the response holds, such as a connection, may be what the next attempt waits for.
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
    fn poll_again(
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
                    let again = this.again.as_ref().expect(AGAIN);
                    let service = again.service.clone();
                    this.state.set(State::Retrying { service });
                    continue;
                }
                StateProj::Retrying { service } => match service.poll_ready(cx) {
                    Poll::Pending => Err(ready!(P::poll_give_up(this.policy, cx))),
                    // ## Retrying => Called
                    Poll::Ready(Ok(())) => {
                        let again = this.again.take().expect(AGAIN);
                        let next = this.policy.clone_request(&again.request);
                        let response = service.call(again.request);
                        this.state.set(State::Called { response });
                        *this.again = next.map(|request| Again { request, ..again });
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
        // Most requests are sent once.
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
        self.poll_again(cx)
    }
}

const AGAIN: &str = "a policy that retries has a request to send";
