//! Waits for the first bytes of a request's body before the request takes a permit on its route.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use http::Request;
use tower::{BoxError, Layer, Service};

use super::protocol::Dialect;
use super::upload::{ClientBody, UploadBody, UploadLimits};

/// Wraps services in [`Arrive`].
#[derive(Debug, Clone, Copy)]
pub struct ArriveLayer {
    limits: UploadLimits,
}

/// Middleware that limits the time that a request's body may take, and calls a clone of the inner service once the body
/// has begun to arrive.
///
/// # Readiness
///
/// Always ready. The clone is polled for readiness once the body has begun, so a client that sends nothing holds no
/// permit.
///
/// # Errors
///
/// The error of the body if it fails before it has begun, or that of the inner service.
#[derive(Debug)]
pub struct Arrive<S> {
    shared: Arc<Inner<S>>,
}

#[derive(Debug)]
struct Inner<S> {
    inner: S,
    limits: UploadLimits,
}

impl ArriveLayer {
    /// Creates a layer that receives bodies within `limits`.
    pub const fn new(limits: UploadLimits) -> Self {
        Self { limits }
    }
}

impl<S> Layer<S> for ArriveLayer {
    type Service = Arrive<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let limits = self.limits;
        Arrive {
            shared: Arc::new(Inner { inner, limits }),
        }
    }
}

impl<S> Clone for Arrive<S> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S> Service<Request<ClientBody>> for Arrive<S>
where
    S: Service<Request<UploadBody>, Error = BoxError> + Clone,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ArriveFuture<S, S::Future>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ClientBody>) -> Self::Future {
        let Inner { inner, limits } = &*self.shared;
        let grpc = Dialect::of(request.headers()) == Dialect::Grpc;
        let request = limits.bound(request, grpc);
        // In a gRPC call the server may send first, so the call must not wait for the client.
        let bytes = if grpc { 0 } else { limits.buffer };
        let mut inner = inner.clone();
        let mut cx = Context::from_waker(Waker::noop());
        // Most requests have no body to wait for.
        if request.body().has_arrived() && inner.poll_ready(&mut cx).map_err(drop) == READY {
            return ArriveFuture(State::Called(Box::pin(inner.call(request))));
        }
        ArriveFuture(State::Arriving(Box::new(Arriving {
            inner,
            request,
            bytes,
        })))
    }
}

const READY: Poll<Result<(), ()>> = Poll::Ready(Ok(()));

/// The response future of [`Arrive`].
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct ArriveFuture<S, F>(State<S, F>);

/// Both states are boxed, so that the outer layers move little.
enum State<S, F> {
    /// The body has not begun, or the service is not ready.
    Arriving(Box<Arriving<S>>),
    /// The inner service has been called.
    Called(Pin<Box<F>>),
    Answered,
}

struct Arriving<S> {
    inner: S,
    request: Request<UploadBody>,
    /// The number of bytes of the body to wait for.
    bytes: usize,
}

impl<S> Future for ArriveFuture<S, S::Future>
where
    S: Service<Request<UploadBody>, Error = BoxError>,
{
    type Output = Result<S::Response, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let state = &mut self.0;
        if let State::Arriving(arriving) = state {
            ready!(arriving.poll_ready(cx)).inspect_err(|_| *state = State::Answered)?;
            // ## Arriving => Called
            let State::Arriving(arrived) = std::mem::replace(state, State::Answered) else {
                unreachable!("the state was Arriving");
            };
            let Arriving {
                mut inner, request, ..
            } = *arrived;
            *state = State::Called(Box::pin(inner.call(request)));
        }
        let State::Called(response) = state else {
            panic!("polled after it was ready");
        };
        let polled = response.as_mut().poll(cx);
        if polled.is_ready() {
            // ## Called => Answered
            // Dropping the inner future here releases what it holds, such as its permit, before the response is
            // written.
            *state = State::Answered;
        }
        polled
    }
}

impl<S: Service<Request<UploadBody>, Error = BoxError>> Arriving<S> {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        ready!(self.request.body_mut().poll_arrived(self.bytes, cx))?;
        self.inner.poll_ready(cx)
    }
}

// All pinned data is boxed.
impl<S, F> Unpin for ArriveFuture<S, F> {}

impl<S, F> fmt::Debug for ArriveFuture<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            State::Arriving(_) => "Arriving",
            State::Called(_) => "Called",
            State::Answered => "Answered",
        })
    }
}
