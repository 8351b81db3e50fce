use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_classify::http::is_grpc_or_web;
use tower_layer::Layer;
use tower_service::Service;

use super::body::TimeoutBody;
use super::pulse::Pulse;
use crate::Deadline;

/// Wraps services in [`BodyTimeout`].
#[derive(Clone, Copy, Debug, Default)]
pub struct BodyTimeoutLayer {
    request: Limits,
    response: Limits,
    grpc_deadline: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Limits {
    idle: Option<Duration>,
    total: Option<Duration>,
}

/// Applies timeouts to the bodies of requests and responses; see [`TimeoutBody`].
///
/// Use [`Timeout`](crate::Timeout) for the time until the response head.
#[derive(Clone, Copy, Debug)]
pub struct BodyTimeout<S> {
    inner: S,
    limits: BodyTimeoutLayer,
}

impl BodyTimeoutLayer {
    /// Creates a layer without timeouts, which the other methods set.
    pub const fn new() -> Self {
        const NONE: Limits = Limits {
            idle: None,
            total: None,
        };
        Self {
            request: NONE,
            response: NONE,
            grpc_deadline: false,
        }
    }

    /// Sets the idle timeout of request bodies: how long to wait for the next frame.
    #[must_use]
    pub const fn request_idle(mut self, timeout: Duration) -> Self {
        self.request.idle = Some(timeout);
        self
    }

    /// Sets the timeout of a whole request body, from the call.
    #[must_use]
    pub const fn request_total(mut self, timeout: Duration) -> Self {
        self.request.total = Some(timeout);
        self
    }

    /// Sets the idle timeout of response bodies: how long to wait for the next frame.
    #[must_use]
    pub const fn response_idle(mut self, timeout: Duration) -> Self {
        self.response.idle = Some(timeout);
        self
    }

    /// Sets the timeout of a whole response body, from the response head.
    #[must_use]
    pub const fn response_total(mut self, timeout: Duration) -> Self {
        self.response.total = Some(timeout);
        self
    }

    /// Applies the request's [`Deadline`] to the response body of a gRPC call, since a gRPC deadline covers the whole
    /// call. By default, a deadline covers the time until the response head. Put this layer inside the one that accepts
    /// the deadline.
    #[must_use]
    pub const fn grpc_deadline(mut self) -> Self {
        self.grpc_deadline = true;
        self
    }
}

impl Limits {
    fn bound<B>(self, body: B) -> TimeoutBody<B> {
        let mut body = TimeoutBody::new(body);
        if let Some(idle) = self.idle {
            body = body.idle(idle);
        }
        if let Some(total) = self.total {
            body = body.total(total);
        }
        body
    }
}

impl<S> Layer<S> for BodyTimeoutLayer {
    type Service = BodyTimeout<S>;

    fn layer(&self, inner: S) -> BodyTimeout<S> {
        BodyTimeout {
            inner,
            limits: *self,
        }
    }
}

impl<S> BodyTimeout<S> {
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

impl<S, B, R> Service<Request<B>> for BodyTimeout<S>
where
    S: Service<Request<TimeoutBody<B>>, Response = Response<R>>,
{
    type Response = Response<TimeoutBody<R>>;
    type Error = S::Error;
    type Future = BodyTimeoutFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let deadline = match self.limits.grpc_deadline && is_grpc_or_web(request.headers()) {
            true => request.extensions().get().copied(),
            false => None,
        };
        let pulse = request.extensions().get().cloned();
        let request = request.map(|body| self.limits.request.bound(body));
        BodyTimeoutFuture {
            inner: self.inner.call(request),
            limits: self.limits.response,
            deadline,
            pulse,
        }
    }
}

pin_project! {
    /// The response future of [`BodyTimeout`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct BodyTimeoutFuture<F> {
        #[pin]
        inner: F,
        limits: Limits,
        deadline: Option<Deadline>,
        pulse: Option<Pulse>,
    }
}

impl<F, R, E> Future for BodyTimeoutFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<TimeoutBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx))?;
        Poll::Ready(Ok(response.map(|body| {
            let mut body = this.limits.bound(body);
            if let Some(pulse) = this.pulse.take() {
                body = body.pulse(pulse);
            }
            match this.deadline {
                Some(deadline) => body.deadline(*deadline),
                None => body,
            }
        })))
    }
}
