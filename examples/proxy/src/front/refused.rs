//! Counts requests that match no route under the route `none`.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tower::classify::cause_ref;
use tower::{BoxError, Layer, Service};

use super::failure::Failure;
use crate::metrics::RouteStats;

/// The request was rejected before it had a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused(Failure);

impl Refused {
    /// Creates the error of a request rejected because of `failure`.
    pub const fn new(failure: Failure) -> Self {
        Self(failure)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request was rejected")
    }
}

impl Error for Refused {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

/// Wraps services in [`CountRefused`].
#[derive(Debug, Clone)]
pub struct CountRefusedLayer {
    stats: Arc<RouteStats>,
}

/// Middleware that counts the requests that fail with [`Refused`], and the responses to them.
///
/// # Readiness
///
/// That of the inner service; nothing is reserved.
#[derive(Debug, Clone)]
pub struct CountRefused<S> {
    inner: S,
    stats: Arc<RouteStats>,
}

impl CountRefusedLayer {
    /// Creates a layer that counts in `stats`.
    pub const fn new(stats: Arc<RouteStats>) -> Self {
        Self { stats }
    }
}

impl<S> Layer<S> for CountRefusedLayer {
    type Service = CountRefused<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CountRefused {
            inner,
            stats: Arc::clone(&self.stats),
        }
    }
}

impl<S, Req> Service<Req> for CountRefused<S>
where
    S: Service<Req, Error = BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = CountRefusedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        CountRefusedFuture {
            inner: self.inner.call(request),
            stats: Arc::clone(&self.stats),
        }
    }
}

pin_project! {
    /// The response future of [`CountRefused`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct CountRefusedFuture<F> {
        #[pin]
        inner: F,
        stats: Arc<RouteStats>,
    }
}

impl<F, T> Future for CountRefusedFuture<F>
where
    F: Future<Output = Result<T, BoxError>>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let polled = this.inner.poll(cx);
        if let Poll::Ready(Err(error)) = &polled
            && let Some(Refused(failure)) = cause_ref(&**error)
        {
            this.stats.failed(failure.reason());
            this.stats.answered(failure.status());
        }
        polled
    }
}
