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

/// Tells the next hop how much time a request has left, by the [`Deadline`] among its extensions, and enforces that.
///
/// In `grpc-timeout` for requests of gRPC, for others in `x-request-timeout-ms` or another header, in whole milliseconds. Put it
/// inside of retries, so that each attempt tells what is left for it. If nothing is left, or less than what the header can
/// tell, it fails before anything is sent: there are servers that take zero for no limit.
///
/// A request without a deadline passes as it is, with the headers that it has.
///
/// # Errors
///
/// A [`BoxError`] with [`DeadlineExceeded`](crate::error::DeadlineExceeded), or with the error of the service inside.
#[derive(Clone, Debug)]
pub struct ForwardDeadline<S> {
    inner: S,
    header: HeaderName,
    margin: Duration,
    refusal: Refusal,
}

impl ForwardDeadlineLayer {
    /// Tells all that is left.
    pub const fn new() -> Self {
        Self {
            header: header::DEFAULT_NAME,
            margin: Duration::ZERO,
        }
    }

    /// The header of requests that are not of gRPC. By default `x-request-timeout-ms`.
    #[must_use]
    pub fn header(mut self, name: HeaderName) -> Self {
        self.header = name;
        self
    }

    /// So much less is told than is left: for the way back. By default nothing.
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
    /// The service inside.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service inside.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service inside.
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
