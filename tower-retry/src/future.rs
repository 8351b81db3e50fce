//! Response futures.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
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
        // The request to send next, and to whom. `None` once there can be no further attempt.
        again: Option<(Request, S)>,
        #[pin]
        state: State<S::Future, P::Future>,
    }
}

pin_project! {
    #[project = StateProj]
    #[derive(Debug)]
    enum State<F, W> {
        Called { #[pin] response: F },
        // For as long as the policy says.
        Waiting { #[pin] wait: W },
        // Until the service is ready for the next attempt.
        Retrying,
    }
}

impl<P, S, Request> ResponseFuture<P, S, Request>
where
    P: Policy<Request, S::Response, S::Error>,
    S: Service<Request>,
{
    #[inline]
    pub(crate) fn new(policy: P, response: S::Future, again: Option<(Request, S)>) -> Self {
        Self {
            policy,
            again,
            state: State::Called { response },
        }
    }

    /// The result if it is the last; otherwise there is an attempt to wait for.
    #[inline]
    fn last(
        self: Pin<&mut Self>,
        mut result: Result<S::Response, S::Error>,
    ) -> Option<Result<S::Response, S::Error>> {
        let mut this = self.project();
        let Some((request, _)) = this.again else {
            return Some(result);
        };
        let Some(wait) = this.policy.retry(request, &mut result) else {
            // What a copy of the request holds, such as the body, need not wait for the end of the future.
            *this.again = None;
            return Some(result);
        };
        tracing::debug!(failed = result.is_err(), "sending a request again");
        // What the response holds, such as a connection, may be what the next attempt waits for.
        drop(result);
        this.state.set(State::Waiting { wait });
        None
    }

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
                    this.state.set(State::Retrying);
                    continue;
                }
                StateProj::Retrying => {
                    let (request, service) = this
                        .again
                        .as_mut()
                        .expect("only with it the state is entered");
                    match service.poll_ready(cx) {
                        Poll::Pending => Err(ready!(P::poll_give_up(this.policy, cx))),
                        // ## Retrying => Called
                        Poll::Ready(Ok(())) => {
                            let next = this.policy.clone_request(request);
                            let (request, mut service) = this.again.take().expect("borrowed above");
                            this.state.set(State::Called {
                                response: service.call(request),
                            });
                            *this.again = next.map(|request| (request, service));
                            continue;
                        }
                        Poll::Ready(Err(error)) => Err(error),
                    }
                }
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
    S: Service<Request>,
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
