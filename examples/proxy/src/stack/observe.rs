//! Records the metrics of an endpoint.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, Request, Response};
use pin_project_lite::pin_project;
use tower::classify::{Class, Classify, FailureKind};
use tower::{BoxError, Service};

use super::classify::{EndpointResults, endpoint_results};
use crate::metrics::{EndpointStats, ResponseFailure};
use crate::transport::headers;
use crate::upstream::{OnEnd, Payload, UpstreamBody};

/// Middleware that reports to the metrics whether an endpoint is ready, and counts its requests, responses and
/// failures.
///
/// What a failure is, is decided by the classification of its health. There is one difference: a gRPC status in trailers
/// is counted here as well, at the end of the response.
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
    recorder: Arc<Recorder>,
}

/// Counts the results of one endpoint.
#[derive(Debug)]
struct Recorder {
    stats: Arc<EndpointStats>,
    classify: EndpointResults,
}

impl<S> Observe<S> {
    /// Wraps `inner`, reporting to `stats`.
    pub fn new(inner: S, stats: Arc<EndpointStats>) -> Self {
        let classify = endpoint_results();
        Self {
            inner,
            recorder: Arc::new(Recorder { stats, classify }),
        }
    }
}

impl<S, Q, B> Service<Request<Q>> for Observe<S>
where
    S: Service<Request<Q>, Response = Response<UpstreamBody<B>>, Error = BoxError>,
    B: Payload,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ObserveFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let polled = self.inner.poll_ready(cx);
        let is_ready = matches!(polled, Poll::Ready(Ok(())));
        self.recorder.stats.set_ready(is_ready);
        polled
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        self.recorder.stats.requests.inc();
        let classify = &self.recorder.classify;
        ObserveFuture {
            is_grpc: Classify::<_, S::Response, BoxError>::info(classify, &request),
            inner: self.inner.call(request),
            recorder: Arc::clone(&self.recorder),
        }
    }
}

impl<S> Drop for Observe<S> {
    fn drop(&mut self) {
        self.recorder.stats.set_ready(false);
    }
}

impl Recorder {
    fn response<B: Payload>(
        self: &Arc<Self>,
        is_grpc: bool,
        response: &mut Response<UpstreamBody<B>>,
    ) {
        let (status, headers) = (response.status(), response.headers());
        self.stats.answered(status);
        match self.classify.head(is_grpc, status, headers) {
            Some(class) => self.class(class),
            // The status is in the trailers. gRPC-Web sends them in the body, which is not parsed.
            None if headers::is_grpc(headers) => {
                response.body_mut().on_end(Arc::<Self>::clone(self))
            }
            None => {}
        }
    }

    fn class(&self, class: Class) {
        if let Class::Failure(failure) = class {
            self.stats.response_failed(match failure.kind() {
                FailureKind::Unavailable => ResponseFailure::Unavailable,
                FailureKind::Timeout => ResponseFailure::Timeout,
                FailureKind::Overloaded => ResponseFailure::Overloaded,
                _ => ResponseFailure::Internal,
            });
        }
    }

    fn error(&self, error: &BoxError) {
        // Such as the failure of the client's body.
        if self.classify.error(error) != Class::Ignored {
            self.stats.failures.inc();
        }
    }
}

impl OnEnd for Recorder {
    fn ended(&self, trailers: Option<&HeaderMap>) {
        self.class(self.classify.trailers(trailers));
    }
}

pin_project! {
    /// The response future of [`Observe`].
    #[derive(Debug)]
    pub struct ObserveFuture<F> {
        #[pin]
        inner: F,
        is_grpc: bool,
        recorder: Arc<Recorder>,
    }
}

impl<F, B> Future for ObserveFuture<F>
where
    F: Future<Output = Result<Response<UpstreamBody<B>>, BoxError>>,
    B: Payload,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut result = ready!(this.inner.poll(cx));
        match &mut result {
            Ok(response) => this.recorder.response(*this.is_grpc, response),
            Err(error) => this.recorder.error(error),
        }
        Poll::Ready(result)
    }
}
