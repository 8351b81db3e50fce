use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tower_readiness::{Observer, Refusal, event, trace};
use tower_service::Service;

use crate::error::QueueFull;
use crate::future::ResponseFuture;
use crate::pool::Pool;
use crate::{BoxError, Event};

/// Runs each request in a task; see the [crate's documentation](crate).
#[derive(Clone, Debug)]
pub struct Executor<S> {
    inner: S,
    runtime: Handle,
    /// `None` without a bound.
    pool: Option<Pool>,
    observer: Observer<Event>,
    refusal: Refusal,
}

impl<S> Executor<S> {
    /// Runs the requests of `inner` on `runtime`, without a bound.
    pub const fn new(inner: S, runtime: Handle) -> Self {
        Self::build(inner, runtime, None, Observer::none())
    }

    pub(crate) const fn build(
        inner: S,
        runtime: Handle,
        pool: Option<Pool>,
        observer: Observer<Event>,
    ) -> Self {
        Self {
            inner,
            runtime,
            pool,
            observer,
            refusal: Refusal::new(),
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

impl<S, Req> Service<Req> for Executor<S>
where
    S: Service<Req, Response: Send + 'static, Error: Into<BoxError>, Future: Send + 'static>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.refusal.check()?;
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let place = match self.pool.as_ref().map(Pool::admit) {
            None => None,
            Some(Some(place)) => Some(place),
            Some(None) => {
                event!(DEBUG, "executor: queue full, rejecting a request");
                self.observer.notify(&Event::Refused);
                self.refusal.release(&mut self.inner);
                return ResponseFuture::refused(QueueFull::new());
            }
        };
        let response = self.inner.call(request);
        let task = trace::in_current_span(async move {
            match place {
                Some(place) => place.run(response).await,
                None => response.await,
            }
            .map_err(Into::into)
        });
        ResponseFuture::spawned(self.runtime.spawn(task), self.observer.clone())
    }
}
