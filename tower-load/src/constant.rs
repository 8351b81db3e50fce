#[cfg(feature = "discover")]
use std::pin::Pin;
use std::task::{Context, Poll};

#[cfg(feature = "discover")]
use futures_core::Stream;
#[cfg(feature = "discover")]
use tower_discover::{Change, Discover};
use tower_service::Service;

use crate::Load;

#[cfg(feature = "discover")]
use std::task::ready;

pin_project_lite::pin_project! {
    /// Gives a service a constant load. Around a `Discover`, it gives each discovered service the same constant load.
    #[derive(Debug)]
    pub struct Constant<T, M> {
        inner: T,
        load: M,
    }
}

impl<T, M: Copy> Constant<T, M> {
    /// Creates a wrapper around `inner` whose load is always `load`.
    pub const fn new(inner: T, load: M) -> Self {
        Self { inner, load }
    }
}

impl<T, M: Copy + PartialOrd> Load for Constant<T, M> {
    type Metric = M;

    fn load(&self) -> M {
        self.load
    }
}

impl<S, M, Request> Service<Request> for Constant<S, M>
where
    S: Service<Request>,
    M: Copy,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, req: Request) -> Self::Future {
        self.inner.call(req)
    }
}

#[cfg(feature = "discover")]
impl<D: Discover + Unpin, M: Copy> Stream for Constant<D, M> {
    type Item = Result<Change<D::Key, Constant<D::Service, M>>, D::Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        let change = ready!(Pin::new(this.inner).poll_discover(cx));
        Poll::Ready(change.map(|change| {
            Ok(match change? {
                Change::Insert(key, service) => {
                    Change::Insert(key, Constant::new(service, *this.load))
                }
                Change::Remove(key) => Change::Remove(key),
            })
        }))
    }
}
