//! Records the metrics of an endpoint.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::Response;
use pin_project_lite::pin_project;
use tower::classify::Class;
use tower::classify::http::ClassifyError;
use tower::{BoxError, Service};

use super::classify::EndpointErrors;
use crate::metrics::EndpointStats;

/// Middleware that reports to the metrics whether an endpoint is ready, and counts its requests, responses and
/// failures. What its health ignores is not counted as a failure.
///
/// # Readiness
///
/// That of the inner service; nothing is reserved.
///
/// # Cancellation
///
/// A request that is cancelled counts as a request, but neither as a response nor as a failure.
#[derive(Debug)]
pub struct Observe<S> {
    inner: S,
    stats: Arc<EndpointStats>,
}

impl<S> Observe<S> {
    /// Wraps `inner`, reporting to `stats`.
    pub fn new(inner: S, stats: Arc<EndpointStats>) -> Self {
        Self { inner, stats }
    }
}

impl<S, Req, B> Service<Req> for Observe<S>
where
    S: Service<Req, Response = Response<B>, Error = BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ObserveFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let polled = self.inner.poll_ready(cx);
        self.stats.set_ready(matches!(polled, Poll::Ready(Ok(()))));
        polled
    }

    fn call(&mut self, request: Req) -> Self::Future {
        self.stats.requests.inc();
        ObserveFuture {
            inner: self.inner.call(request),
            stats: Arc::clone(&self.stats),
        }
    }
}

impl<S> Drop for Observe<S> {
    fn drop(&mut self) {
        self.stats.set_ready(false);
    }
}

pin_project! {
    /// The response future of [`Observe`].
    #[derive(Debug)]
    pub struct ObserveFuture<F> {
        #[pin]
        inner: F,
        stats: Arc<EndpointStats>,
    }
}

impl<F, B> Future for ObserveFuture<F>
where
    F: Future<Output = Result<Response<B>, BoxError>>,
{
    type Output = Result<Response<B>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.inner.poll(cx));
        match &result {
            Ok(response) => this.stats.answered(response.status()),
            // Such as the failure of the client's body.
            Err(error) if EndpointErrors.classify_error(error) == Class::Ignored => {}
            Err(_) => drop(this.stats.failures.inc()),
        }
        Poll::Ready(result)
    }
}
