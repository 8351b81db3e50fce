//! The service behind the buffer, whatever its type, and what is known of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll};

use tower_service::Service;

use crate::BoxError;
use crate::error::{Failure, Panicked, ServiceError};
use crate::future::ResponseFuture;

/// A service for requests `Req` whose futures are `F`, without its type. Panics are failures.
pub(crate) trait Drive<Req, F>: Send {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>>;

    fn call(&mut self, request: Req) -> Result<F, Failure>;

    /// Both at once. Takes the request, unless it is not ready or fails, and puts the response where it belongs: moving it
    /// from hand to hand costs more than all the rest.
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

    fn call(&mut self, request: Req) -> Result<S::Future, Failure> {
        caught(|| Ok(self.call(request)))
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

/// Runs the service's code. It is not used again after a panic, whatever state that left it in.
fn caught<T>(f: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|payload| {
        Err(Failure::Service(ServiceError::new(
            Panicked::new(&*payload).into(),
        )))
    })
}
