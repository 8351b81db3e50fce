//! A service in a mock task, polled by the test.

use std::task::{Context, Poll};

use tokio_test::task;
use tower_service::Service;

/// A service in a mock task that the test polls. It records wake-ups and needs no runtime.
#[derive(Debug)]
pub struct Spawn<T> {
    inner: T,
    task: task::Spawn<()>,
}

impl<T> Spawn<T> {
    /// Puts `inner` into a new mock task.
    pub fn new(inner: T) -> Self {
        Self {
            inner,
            task: task::spawn(()),
        }
    }

    /// Whether the task was woken since the service was last polled.
    pub fn is_woken(&self) -> bool {
        self.task.is_woken()
    }

    /// Returns the number of wakers of the task that others hold.
    pub fn waker_ref_count(&self) -> usize {
        self.task.waker_ref_count()
    }

    /// Polls the service's readiness in the task.
    pub fn poll_ready<Request>(&mut self) -> Poll<Result<(), T::Error>>
    where
        T: Service<Request>,
    {
        let Self { inner, task } = self;
        task.enter(|cx, _| inner.poll_ready(cx))
    }

    /// Calls the service.
    pub fn call<Request>(&mut self, request: Request) -> T::Future
    where
        T: Service<Request>,
    {
        self.inner.call(request)
    }

    /// Consumes `self`, returning the inner service.
    pub fn into_inner(self) -> T {
        self.inner
    }

    /// Returns a reference to the inner service.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// Returns a mutable reference to the inner service.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T, Request> Service<Request> for Spawn<T>
where
    T: Service<Request>,
{
    type Response = T::Response;
    type Error = T::Error;
    type Future = T::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), T::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> T::Future {
        self.inner.call(request)
    }
}

impl<T: Clone> Clone for Spawn<T> {
    /// Puts the clone into a new mock task.
    fn clone(&self) -> Self {
        Self::new(self.inner.clone())
    }
}
