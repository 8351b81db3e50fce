//! Counts requests and how they end, in the metrics of their route, and logs them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::{BoxError, Layer, Service};

use super::failure::Failure;
use crate::metrics::{CLIENT_GONE, InFlight, RouteStats};

/// Wraps services in [`Count`].
#[derive(Debug, Clone)]
pub struct CountLayer {
    stats: Arc<RouteStats>,
}

/// Middleware that counts each request as in flight from the call until its response body is dropped.
///
/// # Cancellation
///
/// A future or a body that is dropped before its end counts as `client_gone`.
///
/// # Readiness
///
/// That of the inner service; nothing is reserved.
#[derive(Debug, Clone)]
pub struct Count<S> {
    inner: S,
    stats: Arc<RouteStats>,
}

impl CountLayer {
    /// Creates a layer that counts in `stats`.
    pub const fn new(stats: Arc<RouteStats>) -> Self {
        Self { stats }
    }
}

impl<S> Layer<S> for CountLayer {
    type Service = Count<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Count {
            inner,
            stats: Arc::clone(&self.stats),
        }
    }
}

impl<S, Req, R> Service<Req> for Count<S>
where
    S: Service<Req, Response = Response<R>, Error = BoxError>,
    R: Body,
{
    type Response = Response<CountBody<R>>;
    type Error = BoxError;
    type Future = CountFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let in_flight = Some(self.stats.begin());
        CountFuture {
            inner: self.inner.call(request),
            in_flight,
        }
    }
}

pin_project! {
    /// The response future of [`Count`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct CountFuture<F> {
        #[pin]
        inner: F,
        // `None` once the response has begun.
        in_flight: Option<InFlight>,
    }
}

impl<F, R> Future for CountFuture<F>
where
    F: Future<Output = Result<Response<R>, BoxError>>,
    R: Body,
{
    type Output = Result<Response<CountBody<R>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let polled = this.inner.poll(cx);
        let Poll::Ready(result) = &polled else {
            return Poll::Pending;
        };
        let mut in_flight = this
            .in_flight
            .take()
            .expect("not polled after it was ready");
        match result {
            Ok(response) => {
                let status = response.status();
                tracing::debug!(route = in_flight.route(), %status, "request answered");
                in_flight.answered(status);
            }
            Err(error) => {
                let failure = Failure::of(error);
                tracing::debug!(route = in_flight.route(), %error, ?failure, "request failed");
                in_flight.failed(failure.reason());
                in_flight.answered(failure.status());
            }
        }
        polled.map_ok(|response| {
            response.map(|inner| CountBody {
                inner,
                in_flight,
                is_over: false,
            })
        })
    }
}

pin_project! {
    /// A response body that counts how it ends.
    #[derive(Debug)]
    pub struct CountBody<B>
    where
        B: Body,
    {
        #[pin]
        inner: B,
        in_flight: InFlight,
        is_over: bool,
    }

    impl<B> PinnedDrop for CountBody<B>
    where
        B: Body,
    {
        fn drop(this: Pin<&mut Self>) {
            if !this.is_over && !this.inner.is_end_stream() {
                this.in_flight.failed(CLIENT_GONE);
            }
        }
    }
}

impl<B> Body for CountBody<B>
where
    B: Body<Data = Bytes, Error = BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        if *this.is_over {
            return Poll::Ready(None);
        }
        let polled = this.inner.poll_frame(cx);
        if let Poll::Ready(frame) = &polled {
            *this.is_over = match frame {
                Some(Ok(frame)) => frame.is_trailers(),
                Some(Err(error)) => {
                    this.in_flight.failed(Failure::of_body(error).reason());
                    true
                }
                None => true,
            };
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
