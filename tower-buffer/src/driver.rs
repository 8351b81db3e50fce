//! The service behind the buffer, with its type erased, and its state.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, Waker};

use tower_readiness::Purpose;
use tower_service::Service;

use crate::BoxError;
use crate::error::{Failure, Panicked, ServiceError};
use crate::future::ResponseFuture;

/// A service for requests `Req` whose futures are `F`, with its type erased. A panic is a failure.
pub(crate) trait Drive<Req, F>: Send {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>>;

    /// Calls the service if it is ready: takes the request, and writes the response in place, as moving it would cost more
    /// than the rest of the call.
    fn poll_call(
        &mut self,
        cx: &mut Context<'_>,
        request: &mut Option<Req>,
        response: &mut ResponseFuture<F>,
    ) -> Result<(), Failure>;
}

impl<S, Req> Drive<Req, S::Future> for S
where
    S: Service<Req> + Send,
    S::Error: Into<BoxError>,
{
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        caught(|| Ok(poll_ready(self, cx)))?
    }

    fn poll_call(
        &mut self,
        cx: &mut Context<'_>,
        request: &mut Option<Req>,
        response: &mut ResponseFuture<S::Future>,
    ) -> Result<(), Failure> {
        caught(|| {
            if let Poll::Ready(ready) = poll_ready(self, cx) {
                ready?;
                if let Some(request) = request.take() {
                    *response = ResponseFuture::called(self.call(request));
                }
            }
            Ok(())
        })
    }
}

fn poll_ready<S, Req>(service: &mut S, cx: &mut Context<'_>) -> Poll<Result<(), Failure>>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
{
    service
        .poll_ready(cx)
        .map_err(|error| Failure::Service(ServiceError::new(error.into())))
}

/// Runs code of the service, and returns a panic as a failure. It is unwind safe, as the service is not used after a panic.
pub(crate) fn caught<T>(f: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|payload| Err(panicked(payload)))
}

/// Separate from [`caught`], so that it is compiled once and not for each type of service.
#[cold]
fn panicked(payload: Box<dyn Any + Send>) -> Failure {
    Failure::Service(ServiceError::new(Panicked::new(&*payload).into()))
}

/// The service, and whether it is pending.
pub(crate) struct Driver<Req, F> {
    /// `None` if the service has failed, or the buffer is closed.
    pub(crate) service: Option<Box<dyn Drive<Req, F>>>,
    /// The service was not ready for a request, and has not been polled since.
    pub(crate) pending: bool,
}

impl<Req, F> Driver<Req, F> {
    /// Calls the service if it is ready: see [`Drive::poll_call`].
    #[inline]
    pub(crate) fn poll_call(
        &mut self,
        waker: &Waker,
        request: &mut Option<Req>,
        response: &mut ResponseFuture<F>,
    ) -> Result<(), Failure> {
        let called = match &mut self.service {
            Some(service) => service.poll_call(&mut Context::from_waker(waker), request, response),
            None => Ok(()),
        };
        self.pending = request.is_some();
        called
    }

    /// Lets the service make progress without a request, and release what it has reserved for one.
    pub(crate) fn drive(&mut self, waker: &Waker) -> Result<(), Failure> {
        self.pending = false;
        let Some(service) = &mut self.service else {
            return Ok(());
        };
        let mut cx = Context::from_waker(waker);
        match Purpose::Drive.run(|| service.poll_ready(&mut cx)) {
            Poll::Ready(result) => result,
            Poll::Pending => Ok(()),
        }
    }
}
