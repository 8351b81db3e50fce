use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderName, Request};
use tokio::time::Instant;
use tower_layer::Layer;
use tower_readiness::Refusal;
use tower_service::Service;

use super::header;
use crate::deadline::EnforceFuture;
use crate::{BoxError, Deadline};

/// Wraps services in [`ForwardDeadline`].
#[derive(Clone, Debug)]
pub struct ForwardDeadlineLayer {
    header: HeaderName,
    margin: Duration,
}

/// Sends the remaining time of a request, from the [`Deadline`] in its extensions, to the next hop and enforces it.
///
/// The time is sent in `grpc-timeout` for gRPC, and otherwise in `x-request-timeout-ms` or another header, in whole
/// milliseconds. Put this layer inside retries, so that each attempt sends the time that is left for it. If no time is
/// left, or less than the header can express, the request fails before it is sent, because some servers treat zero as
/// no limit.
///
/// A request without a deadline is forwarded with its headers unchanged.
///
/// # Errors
///
/// A [`BoxError`] with [`DeadlineExceeded`](crate::error::DeadlineExceeded), or with the inner service's error.
#[derive(Clone, Debug)]
pub struct ForwardDeadline<S> {
    inner: S,
    header: HeaderName,
    margin: Duration,
    refusal: Refusal,
}

impl ForwardDeadlineLayer {
    /// Sends all of the remaining time, in the default header.
    pub const fn new() -> Self {
        Self {
            header: header::DEFAULT_NAME,
            margin: Duration::ZERO,
        }
    }

    /// Sets the header for requests that are not gRPC. By default `x-request-timeout-ms`.
    #[must_use]
    pub fn header(mut self, name: HeaderName) -> Self {
        self.header = name;
        self
    }

    /// Sends `margin` less than the remaining time, to leave time for the response to return. By default zero.
    #[must_use]
    pub fn margin(mut self, margin: Duration) -> Self {
        self.margin = margin;
        self
    }
}

impl Default for ForwardDeadlineLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for ForwardDeadlineLayer {
    type Service = ForwardDeadline<S>;

    fn layer(&self, inner: S) -> ForwardDeadline<S> {
        ForwardDeadline {
            inner,
            header: self.header.clone(),
            margin: self.margin,
            refusal: Refusal::new(),
        }
    }
}

impl<S> ForwardDeadline<S> {
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

impl<S, B> Service<Request<B>> for ForwardDeadline<S>
where
    S: Service<Request<B>>,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = EnforceFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.refusal.check()?;
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let Some(deadline) = request.extensions().get::<Deadline>().copied() else {
            return EnforceFuture::unbounded(self.inner.call(request));
        };
        let left = deadline
            .remaining(Instant::now())
            .saturating_sub(self.margin);
        if !header::write(request.headers_mut(), &self.header, left) {
            self.refusal.release(&mut self.inner);
            return EnforceFuture::passed(deadline);
        }
        EnforceFuture::until(deadline, self.inner.call(request))
    }
}
