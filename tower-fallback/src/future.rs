//! Response futures.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_classify::Classify;
use tower_readiness::{Observer, event};
use tower_service::Service;
use tower_util::Oneshot;

use crate::error::FallbackFailed;
use crate::{BoxError, Event, Substitute};

pin_project! {
    /// The response future of [`Fallback`](crate::Fallback).
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct ResponseFuture<S, F, C, Req>
    where
        S: Service<Req>,
        F: Substitute<Req, S::Response, S::Error>,
        C: Classify<Req, S::Response, S::Error>,
    {
        #[pin]
        state: State<S::Future, Plan<F, C, F::Kept, C::Info>, F::Future>,
        observer: Observer<Event>,
    }
}

pin_project! {
    #[project = StateProj]
    #[project_replace = StateOwned]
    enum State<R, P, F> {
        Called { #[pin] response: R, plan: P },
        Substituted { #[pin] response: F },
        Done,
    }
}

/// What is needed to respond if the request fails.
pub(crate) struct Plan<F, C, K, I> {
    pub(crate) fallback: F,
    pub(crate) classify: C,
    pub(crate) kept: K,
    pub(crate) info: I,
}

impl<S, F, C, Req> ResponseFuture<S, F, C, Req>
where
    S: Service<Req>,
    F: Substitute<Req, S::Response, S::Error>,
    C: Classify<Req, S::Response, S::Error>,
{
    pub(crate) const fn new(
        response: S::Future,
        plan: Plan<F, C, F::Kept, C::Info>,
        observer: Observer<Event>,
    ) -> Self {
        Self {
            state: State::Called { response, plan },
            observer,
        }
    }
}

impl<S, F, C, Req> Future for ResponseFuture<S, F, C, Req>
where
    S: Service<Req>,
    F: Substitute<Req, S::Response, S::Error>,
    C: Classify<Req, S::Response, S::Error>,
{
    type Output = Result<S::Response, F::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Called { response, plan } => {
                    let failed = ready!(response.poll(cx));
                    let class = plan.classify.classify(&plan.info, failed.as_ref());
                    // ## Called => Done
                    // The future of the inner service is dropped before the fallback begins.
                    let StateOwned::Called { plan, .. } =
                        this.state.as_mut().project_replace(State::Done)
                    else {
                        unreachable!("the state is `Called`");
                    };
                    if !class.is_failure() {
                        return Poll::Ready(failed.map_err(F::pass));
                    }
                    event!(DEBUG, "the service failed: using the fallback");
                    this.observer.notify(&Event::Used);
                    // ## Done => Substituted
                    let response = plan.fallback.respond(plan.kept, failed);
                    this.state.set(State::Substituted { response });
                }
                StateProj::Substituted { response } => {
                    let result = ready!(response.poll(cx));
                    if result.is_err() {
                        event!(DEBUG, "the fallback failed");
                        this.observer.notify(&Event::Failed);
                    }
                    return Poll::Ready(result);
                }
                StateProj::Done => panic!("polled after it has completed"),
            }
        }
    }
}

impl<S, F, C, Req> fmt::Debug for ResponseFuture<S, F, C, Req>
where
    S: Service<Req>,
    F: Substitute<Req, S::Response, S::Error>,
    C: Classify<Req, S::Response, S::Error>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Called { .. } => "Called",
            State::Substituted { .. } => "Substituted",
            State::Done => "Done",
        };
        write!(f, "ResponseFuture({state})")
    }
}

pin_project! {
    /// The response future of a fallback service.
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct ServiceFuture<B, Req>
    where
        B: Service<Req>,
    {
        #[pin]
        response: Oneshot<B, Req>,
        original: Option<BoxError>,
    }
}

impl<B, Req> ServiceFuture<B, Req>
where
    B: Service<Req>,
{
    pub(crate) const fn new(service: B, request: Req, original: Option<BoxError>) -> Self {
        Self {
            response: Oneshot::new(service, request),
            original,
        }
    }
}

impl<B, Req> Future for ServiceFuture<B, Req>
where
    B: Service<Req, Error: Into<BoxError>>,
{
    type Output = Result<B::Response, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.response.poll(cx));
        Poll::Ready(
            result.map_err(|error| FallbackFailed::new(error.into(), this.original.take()).into()),
        )
    }
}

impl<B, Req> fmt::Debug for ServiceFuture<B, Req>
where
    B: Service<Req>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceFuture")
            .field("original", &self.original)
            .finish_non_exhaustive()
    }
}
