use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use tower_service::Service;

/// Returns a clone of the same service for every target.
#[derive(Debug, Clone, Copy)]
pub struct Shared<S> {
    service: S,
}

impl<S> Shared<S> {
    /// Returns clones of `service`.
    pub const fn new(service: S) -> Self {
        Self { service }
    }
}

impl<S: Clone, T> Service<T> for Shared<S> {
    type Response = S;
    type Error = Infallible;
    type Future = SharedFuture<S>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _target: T) -> Self::Future {
        SharedFuture::new(ready(Ok(self.service.clone())))
    }
}

named_future! {
    /// The response future of [`Shared`].
    SharedFuture<S>(Ready<Result<S, Infallible>>)
}
