use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tower_readiness::Purpose;
use tower_service::Service;

use crate::error::Failure;
use crate::future::ResponseFuture;
use crate::shared::Shared;
use crate::slots::Slot;
use crate::{BoxError, Worker};

/// A handle to a service behind a bounded queue; see the [crate's documentation](crate).
///
/// `F` is the service's future.
pub struct Buffer<Req, F> {
    shared: Arc<Shared<Req, F>>,
    slot: Slot,
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
        assert!(bound > 0, "a buffer needs a slot for at least one request");
        let shared = Arc::new(Shared::new(Box::new(service), bound));
        (
            Self {
                shared: Arc::clone(&shared),
                slot: Slot::None,
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
        if self.shared.try_bypass(&mut self.slot) {
            return Poll::Ready(Ok(()));
        }
        self.poll_slot(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let slot = std::mem::replace(&mut self.slot, Slot::None);
        assert!(
            matches!(slot, Slot::Bypass | Slot::Reserved),
            "service not ready; poll_ready must be called first"
        );
        let mut request = Some(request);
        let mut response = ResponseFuture::failed(Failure::Closed);
        self.shared.call(&mut request, &slot, &mut response);
        if let Some(request) = request {
            response = match self.shared.push(request, &slot) {
                Ok(ticket) => ResponseFuture::queued(ticket),
                Err(failure) => ResponseFuture::failed(failure),
            };
        }
        response
    }
}

impl<Req, F> Buffer<Req, F> {
    fn poll_slot(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let purpose = Purpose::current();
        if purpose == Purpose::Release {
            self.shared.release(&mut self.slot);
            return Poll::Pending;
        }
        ready!(self.shared.poll_slot(&mut self.slot, cx))?;
        if purpose == Purpose::Drive {
            self.shared.release(&mut self.slot);
            // So that layers above that remember that it was ready may call it.
            self.slot = Slot::Bypass;
        }
        Poll::Ready(Ok(()))
    }
}

impl<Req, F> Clone for Buffer<Req, F> {
    fn clone(&self) -> Self {
        self.shared.add_handle();
        Self {
            shared: Arc::clone(&self.shared),
            slot: Slot::None,
        }
    }
}

impl<Req, F> Drop for Buffer<Req, F> {
    fn drop(&mut self) {
        self.shared.remove_handle(&mut self.slot);
    }
}

impl<Req, F> fmt::Debug for Buffer<Req, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer")
            .field("slot", &self.slot)
            .finish_non_exhaustive()
    }
}
