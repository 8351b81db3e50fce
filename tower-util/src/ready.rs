use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tower_service::Service;

/// Resolves to the service when it is ready; see [`ServiceExt::ready_oneshot`](crate::ServiceExt::ready_oneshot).
///
/// # Panics
///
/// If it is polled again after it has completed.
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct ReadyOneshot<T, Request> {
    inner: Option<T>,
    _marker: PhantomData<fn() -> Request>,
}

// The service is only ever borrowed, never pinned.
impl<T, Request> Unpin for ReadyOneshot<T, Request> {}

impl<T, Request> ReadyOneshot<T, Request>
where
    T: Service<Request>,
{
    /// Waits until `service` is ready.
    pub const fn new(service: T) -> Self {
        Self {
            inner: Some(service),
            _marker: PhantomData,
        }
    }
}

impl<T, Request> Future for ReadyOneshot<T, Request>
where
    T: Service<Request>,
{
    type Output = Result<T, T::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(self.inner.as_mut().expect(POLLED_AGAIN).poll_ready(cx))?;
        Poll::Ready(Ok(self.inner.take().expect(POLLED_AGAIN)))
    }
}

impl<T: fmt::Debug, Request> fmt::Debug for ReadyOneshot<T, Request> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadyOneshot")
            .field("inner", &self.inner)
            .finish()
    }
}

/// Resolves to the borrowed service when it is ready; see [`ServiceExt::ready`](crate::ServiceExt::ready).
///
/// # Panics
///
/// If it is polled again after it has completed.
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Ready<'a, T, Request>(ReadyOneshot<&'a mut T, Request>);

impl<T, Request> Unpin for Ready<'_, T, Request> {}

impl<'a, T, Request> Ready<'a, T, Request>
where
    T: Service<Request>,
{
    /// Waits until `service` is ready.
    pub const fn new(service: &'a mut T) -> Self {
        Self(ReadyOneshot::new(service))
    }
}

impl<'a, T, Request> Future for Ready<'a, T, Request>
where
    T: Service<Request>,
{
    type Output = Result<&'a mut T, T::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl<T: fmt::Debug, Request> fmt::Debug for Ready<'_, T, Request> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ready").field(&self.0).finish()
    }
}

const POLLED_AGAIN: &str = "polled after it gave the service back";
