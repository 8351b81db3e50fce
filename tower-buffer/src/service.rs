use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tower_readiness::Purpose;
use tower_service::Service;

use crate::error::Failure;
use crate::future::ResponseFuture;
use crate::places::Place;
use crate::shared::Shared;
use crate::{BoxError, Worker};

/// A handle to a service behind a bounded queue; see the [crate's documentation](crate).
///
/// `F` is the service's future.
pub struct Buffer<Req, F> {
    shared: Arc<Shared<Req, F>>,
    place: Place,
}

impl<Req, F> Buffer<Req, F>
where
    F: 'static,
{
    /// Puts `service` behind a queue for `bound` requests, and spawns its worker.
    ///
    /// # Panics
    ///
    /// If `bound` is zero, or outside of a tokio runtime.
    pub fn new<S>(service: S, bound: usize) -> Self
    where
        S: Service<Req, Future = F> + Send + 'static,
        F: Send,
        S::Error: Into<BoxError> + Send + Sync,
        Req: Send + 'static,
    {
        let (buffer, worker) = Self::pair(service, bound);
        tokio::spawn(worker);
        buffer
    }

    /// Like [`new`](Self::new), but returns the worker, which must be polled in a task of its own. For other executors.
    ///
    /// # Panics
    ///
    /// If `bound` is zero.
    pub fn pair<S>(service: S, bound: usize) -> (Self, Worker<Req, S>)
    where
        S: Service<Req, Future = F> + Send + 'static,
        F: Send,
        S::Error: Into<BoxError> + Send + Sync,
        Req: Send + 'static,
    {
        assert!(bound > 0, "a buffer needs place for at least one request");
        let shared = Arc::new(Shared::new(Box::new(service), bound));
        (
            Self {
                shared: Arc::clone(&shared),
                place: Place::None,
            },
            Worker::new(shared),
        )
    }
}

impl<Req, F, Rsp, E> Service<Req> for Buffer<Req, F>
where
    F: Future<Output = Result<Rsp, E>>,
{
    type Response = Rsp;
    type Error = BoxError;
    type Future = ResponseFuture<F>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if self.shared.promise(&mut self.place) {
            return Poll::Ready(Ok(()));
        }
        self.poll_place(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let place = std::mem::replace(&mut self.place, Place::None);
        assert!(
            matches!(place, Place::Promised | Place::Reserved),
            "service not ready; poll_ready must be called first"
        );
        let mut request = Some(request);
        let mut response = ResponseFuture::failed(Failure::Closed);
        self.shared.call(&mut request, &place, &mut response);
        if let Some(request) = request {
            response = match self.shared.push(request, &place) {
                Ok(ticket) => ResponseFuture::queued(ticket),
                Err(failure) => ResponseFuture::failed(failure),
            };
        }
        response
    }
}

impl<Req, F> Buffer<Req, F> {
    fn poll_place(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let purpose = Purpose::current();
        if purpose == Purpose::Release {
            self.shared.leave_place(&mut self.place);
            return Poll::Pending;
        }
        ready!(self.shared.poll_place(&mut self.place, cx))?;
        if purpose == Purpose::Drive {
            self.shared.leave_place(&mut self.place);
            // For layers above that keep in mind that it was ready.
            self.place = Place::Promised;
        }
        Poll::Ready(Ok(()))
    }
}

impl<Req, F> Clone for Buffer<Req, F> {
    fn clone(&self) -> Self {
        self.shared.add_handle();
        Self {
            shared: Arc::clone(&self.shared),
            place: Place::None,
        }
    }
}

impl<Req, F> Drop for Buffer<Req, F> {
    fn drop(&mut self) {
        self.shared.remove_handle(&mut self.place);
    }
}

impl<Req, F> fmt::Debug for Buffer<Req, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}
