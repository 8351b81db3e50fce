use std::task::{Context, Poll};

use tower_classify::{Classify, ErrorIsFailure};
use tower_readiness::Observer;
use tower_service::Service;

use crate::future::{Plan, ResponseFuture};
use crate::{Event, Substitute};

/// Responds from elsewhere when the inner service fails; see the [crate's documentation](crate).
#[derive(Clone, Debug)]
pub struct Fallback<S, F, C = ErrorIsFailure> {
    inner: S,
    fallback: F,
    classify: C,
    observer: Observer<Event>,
}

impl<S, F> Fallback<S, F> {
    /// Wraps `inner`: `fallback`, a [`Substitute`], responds to each request that fails with an error.
    pub const fn new(inner: S, fallback: F) -> Self {
        Self::build(inner, fallback, ErrorIsFailure, Observer::none())
    }
}

impl<S, F, C> Fallback<S, F, C> {
    pub(crate) const fn build(
        inner: S,
        fallback: F,
        classify: C,
        observer: Observer<Event>,
    ) -> Self {
        Self {
            inner,
            fallback,
            classify,
            observer,
        }
    }

    /// Returns a reference to the inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns a mutable reference to the inner service.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Consumes `self`, returning the inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, F, C, Req> Service<Req> for Fallback<S, F, C>
where
    S: Service<Req>,
    F: Substitute<Req, S::Response, S::Error> + Clone,
    C: Classify<Req, S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = F::Error;
    type Future = ResponseFuture<S, F, C, Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), F::Error>> {
        self.inner.poll_ready(cx).map_err(F::pass)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let plan = Plan {
            kept: self.fallback.keep(&request),
            info: self.classify.info(&request),
            fallback: self.fallback.clone(),
            classify: self.classify.clone(),
        };
        ResponseFuture::new(self.inner.call(request), plan, self.observer.clone())
    }
}
