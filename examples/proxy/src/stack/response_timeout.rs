//! Limits the time of a response, from the end of its request.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::timeout::Deadline;
use tower::timeout::alarm::Alarm;
use tower::timeout::error::Elapsed;
use tower::{BoxError, Layer, Service};

use crate::front::protocol::Dialect;
use crate::front::upload::{Arrival, UploadBody};

/// Wraps services in [`ResponseTimeout`].
#[derive(Debug, Clone, Copy)]
pub struct ResponseTimeoutLayer {
    timeout: Option<Duration>,
}

/// Middleware that limits the time from the end of a request to the beginning of its response.
///
/// A request that is complete gets a [`Deadline`] in its extensions, which the inner layers enforce and forward to the
/// upstream. While a body is arriving, only the limits of the body apply; once it has ended, the limit of the response
/// is enforced here. gRPC calls have deadlines for the whole call instead, which are not set here.
///
/// # Readiness
///
/// That of the inner service; nothing is reserved.
///
/// # Errors
///
/// The inner service's, or [`Elapsed`] if the response does not begin in time after a body that arrived later.
///
/// # Cost
///
/// One reading of the clock for each HTTP request with a complete body; a timer only after a body that arrived later.
#[derive(Debug, Clone, Copy)]
pub struct ResponseTimeout<S> {
    inner: S,
    timeout: Option<Duration>,
}

impl ResponseTimeoutLayer {
    /// Creates a layer that limits responses to begin within `timeout`; `None` means no limit.
    pub const fn new(timeout: Option<Duration>) -> Self {
        Self { timeout }
    }
}

impl<S> Layer<S> for ResponseTimeoutLayer {
    type Service = ResponseTimeout<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let timeout = self.timeout;
        ResponseTimeout { inner, timeout }
    }
}

impl<S, B> Service<Request<UploadBody<B>>> for ResponseTimeout<S>
where
    S: Service<Request<UploadBody<B>>, Error = BoxError>,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseTimeoutFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<UploadBody<B>>) -> Self::Future {
        let mut arriving = None;
        if let Some(timeout) = self
            .timeout
            .filter(|_| Dialect::of(request.headers()) == Dialect::Http)
        {
            if request.body().has_arrived() {
                let deadline = Deadline::after(Instant::now(), timeout);
                request.extensions_mut().insert(deadline);
            } else {
                arriving = Some(Arriving {
                    arrival: request.body_mut().watch(),
                    timeout,
                    alarm: None,
                });
            }
        }
        ResponseTimeoutFuture {
            inner: self.inner.call(request),
            arriving,
        }
    }
}

pin_project! {
    /// The response future of [`ResponseTimeout`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct ResponseTimeoutFuture<F> {
        #[pin]
        inner: F,
        arriving: Option<Arriving>,
    }
}

#[derive(Debug)]
struct Arriving {
    arrival: Arc<Arrival>,
    timeout: Duration,
    /// Set once the request has ended.
    alarm: Option<Alarm>,
}

impl Arriving {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Elapsed> {
        if self.alarm.is_none() && self.arrival.poll(cx).is_ready() {
            let end = Instant::now().checked_add(self.timeout);
            self.alarm = end.map(Alarm::new);
        }
        match &mut self.alarm {
            Some(alarm) => alarm.poll(cx).map(|()| Elapsed::after(self.timeout)),
            None => Poll::Pending,
        }
    }
}

impl<F, T> Future for ResponseTimeoutFuture<F>
where
    F: Future<Output = Result<T, BoxError>>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(response) = this.inner.poll(cx) {
            return Poll::Ready(response);
        }
        match this.arriving {
            Some(arriving) => arriving.poll(cx).map(|elapsed| Err(elapsed.into())),
            None => Poll::Pending,
        }
    }
}
