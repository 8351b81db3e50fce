//! Response futures.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_service::Service;

use super::AsyncPredicate;
use crate::BoxError;

pin_project! {
    /// The response future of [`Filter`](super::Filter).
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct ResponseFuture<R, F> {
        #[pin]
        response: Option<F>,
        rejected: Option<BoxError>,
        _marker: std::marker::PhantomData<fn() -> R>,
    }
}

impl<R, F> ResponseFuture<R, F> {
    pub(super) fn new(checked: Result<F, BoxError>) -> Self {
        let (response, rejected) = match checked {
            Ok(response) => (Some(response), None),
            Err(error) => (None, Some(error)),
        };
        Self {
            response,
            rejected,
            _marker: std::marker::PhantomData,
        }
    }
}

impl<R, F, E> Future for ResponseFuture<R, F>
where
    F: Future<Output = Result<R, E>>,
    E: Into<BoxError>,
{
    type Output = Result<R, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.response.as_pin_mut() {
            Some(response) => response.poll(cx).map_err(Into::into),
            None => Poll::Ready(Err(this
                .rejected
                .take()
                .expect("polled after it has finished"))),
        }
    }
}

impl<R, F> fmt::Debug for ResponseFuture<R, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("rejected", &self.rejected)
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// The response future of [`AsyncFilter`](super::AsyncFilter).
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct AsyncResponseFuture<P, S, Request>
    where
        P: AsyncPredicate<Request>,
        S: Service<P::Request>,
    {
        #[pin]
        state: State<P::Future, S, P::Request, S::Future>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<C, S, R, F> {
        // `reserved`: whether the service is the one that was ready when the request came.
        Checking { #[pin] check: C, service: Option<S>, reserved: bool },
        Waiting { service: S, request: Option<R> },
        Called { #[pin] response: F },
    }
}

impl<P, S, Request> AsyncResponseFuture<P, S, Request>
where
    P: AsyncPredicate<Request>,
    S: Service<P::Request>,
{
    pub(super) fn new(check: P::Future, service: S) -> Self {
        Self {
            state: State::Checking {
                check,
                service: Some(service),
                reserved: true,
            },
        }
    }
}

impl<P, S, Request> Future for AsyncResponseFuture<P, S, Request>
where
    P: AsyncPredicate<Request>,
    S: Service<P::Request> + Clone,
    S::Error: Into<BoxError>,
{
    type Output = Result<S::Response, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProj::Checking {
                    check,
                    service,
                    reserved,
                } => {
                    let Poll::Ready(checked) = check.poll(cx) else {
                        // A clone is not ready; the reservation of the original is released.
                        if std::mem::take(reserved) {
                            *service = service.clone();
                        }
                        return Poll::Pending;
                    };
                    let request = checked?;
                    let mut service = service.take().expect("taken only when the state changes");
                    // ## Checking => Called | Waiting
                    let next = if *reserved {
                        State::Called {
                            response: service.call(request),
                        }
                    } else {
                        State::Waiting {
                            service,
                            request: Some(request),
                        }
                    };
                    state.set(next);
                }
                // ## Waiting => Called
                StateProj::Waiting { service, request } => {
                    ready!(service.poll_ready(cx)).map_err(Into::into)?;
                    let response =
                        service.call(request.take().expect("taken only when the state changes"));
                    state.set(State::Called { response });
                }
                StateProj::Called { response } => return response.poll(cx).map_err(Into::into),
            }
        }
    }
}

impl<P, S, Request> fmt::Debug for AsyncResponseFuture<P, S, Request>
where
    P: AsyncPredicate<Request>,
    S: Service<P::Request>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Checking { .. } => "Checking",
            State::Waiting { .. } => "Waiting",
            State::Called { .. } => "Called",
        };
        f.debug_struct("AsyncResponseFuture")
            .field("state", &format_args!("{state}"))
            .finish_non_exhaustive()
    }
}
