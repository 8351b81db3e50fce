//! Waits for the first bytes of a request's body before the request takes a permit on its route.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use http::Request;
use tower::{BoxError, Layer, Service};

use super::inbound::Inbound;
use super::protocol::Dialect;
use super::upload::{UploadBody, UploadLimits};
use crate::lock::lock;
use crate::threads;

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
/// Always ready. The clone is made and polled for readiness once the body has begun, so a client that sends nothing holds
/// no permit. The inner service must then be ready or fail, as one that sheds load does: a clone does not wait.
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
    /// A clone for each thread, since making one for each request takes longer.
    clones: Box<[Spare<S>]>,
}

/// A clone that no request uses, on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
struct Spare<S>(Mutex<Option<Box<S>>>);

impl ArriveLayer {
    /// Creates a layer that receives bodies within `limits`.
    pub const fn new(limits: UploadLimits) -> Self {
        Self { limits }
    }
}

impl<S> Layer<S> for ArriveLayer {
    type Service = Arrive<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let spares = (0..threads::cores()).map(|_| Spare(Mutex::new(None)));
        Arrive {
            shared: Arc::new(Inner {
                inner,
                limits: self.limits,
                clones: spares.collect(),
            }),
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

impl<S> Service<Box<Inbound>> for Arrive<S>
where
    S: Service<Request<UploadBody>, Error = BoxError> + Clone,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ArriveFuture<S, S::Future>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Box<Inbound>) -> Self::Future {
        let limits = self.shared.limits;
        let grpc = request.fields.dialect == Dialect::Grpc;
        let body = request.body.take();
        ArriveFuture(State::Arriving(Arriving {
            shared: Arc::clone(&self.shared),
            body: limits.bound(body, &mut request.head, grpc),
            request,
            // In a gRPC call the server may send first, so the call must not wait for the client.
            bytes: if grpc { 0 } else { limits.buffer },
        }))
    }
}

/// The response future of [`Arrive`].
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct ArriveFuture<S, F>(State<S, F>);

/// What is large is boxed, so that the outer layers move little.
enum State<S, F> {
    /// The body has not begun.
    Arriving(Arriving<S>),
    /// The inner service has been called.
    Called(Pin<Box<F>>),
    Answered,
}

struct Arriving<S> {
    shared: Arc<Inner<S>>,
    request: Box<Inbound>,
    body: UploadBody,
    /// The number of bytes of the body to wait for.
    bytes: usize,
}

impl<S> Future for ArriveFuture<S, S::Future>
where
    S: Service<Request<UploadBody>, Error = BoxError> + Clone,
{
    type Output = Result<S::Response, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let state = &mut self.0;
        if let State::Arriving(Arriving { body, bytes, .. }) = state {
            let arrived = ready!(body.poll_arrived(*bytes, cx));
            // ## Arriving => Called
            let State::Arriving(arriving) = std::mem::replace(state, State::Answered) else {
                unreachable!("the state was Arriving");
            };
            arrived?;
            *state = State::Called(arriving.call(cx)?);
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

impl<S: Service<Request<UploadBody>, Error = BoxError> + Clone> Arriving<S> {
    fn call(self, cx: &mut Context<'_>) -> Result<Pin<Box<S::Future>>, BoxError> {
        let mut inner = self.shared.take_clone();
        let Poll::Ready(ready) = inner.poll_ready(cx) else {
            unreachable!("the service sheds load");
        };
        ready?;
        let request = Request::from_parts(self.request.head, self.body);
        let response = Box::pin(inner.call(request));
        self.shared.keep_clone(inner);
        Ok(response)
    }
}

impl<S: Clone> Inner<S> {
    fn take_clone(&self) -> Box<S> {
        let spare = lock(self.spare()).take();
        spare.unwrap_or_else(|| Box::new(self.inner.clone()))
    }

    fn keep_clone(&self, clone: Box<S>) {
        let before = lock(self.spare()).replace(clone);
        // After the lock is released.
        drop(before);
    }

    fn spare(&self) -> &Mutex<Option<Box<S>>> {
        &self.clones[threads::index() % self.clones.len()].0
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
