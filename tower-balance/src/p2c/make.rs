use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_discover::Discover;
use tower_service::Service;

use super::Balance;
use crate::BoxError;

/// Creates a [`Balance`] for each target, over the endpoints of the [`Discover`] that the service `S` returns for it.
pub struct MakeBalance<S, Req> {
    inner: S,
    _marker: PhantomData<fn(Req)>,
}

impl<S, Req> MakeBalance<S, Req> {
    /// Balances over the [`Discover`]s that `make_discover` returns.
    pub const fn new(make_discover: S) -> Self {
        Self {
            inner: make_discover,
            _marker: PhantomData,
        }
    }
}

impl<S, Target, Req> Service<Target> for MakeBalance<S, Req>
where
    S: Service<Target>,
    S::Response: Discover,
    <S::Response as Discover>::Key: Hash,
    <S::Response as Discover>::Service: Service<Req>,
    <<S::Response as Discover>::Service as Service<Req>>::Error: Into<BoxError>,
{
    type Response = Balance<S::Response, Req>;
    type Error = S::Error;
    type Future = MakeFuture<S::Future, Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, target: Target) -> Self::Future {
        MakeFuture {
            inner: self.inner.call(target),
            _marker: PhantomData,
        }
    }
}

impl<S: Clone, Req> Clone for MakeBalance<S, Req> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone())
    }
}

impl<S: fmt::Debug, Req> fmt::Debug for MakeBalance<S, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MakeBalance")
            .field("inner", &self.inner)
            .finish()
    }
}

pin_project! {
    /// The response future of [`MakeBalance`].
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct MakeFuture<F, Req> {
        #[pin]
        inner: F,
        _marker: PhantomData<fn(Req)>,
    }
}

impl<F, T, E, Req> Future for MakeFuture<F, Req>
where
    F: Future<Output = Result<T, E>>,
    T: Discover,
    T::Key: Hash,
    T::Service: Service<Req>,
    <T::Service as Service<Req>>::Error: Into<BoxError>,
{
    type Output = Result<Balance<T, Req>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let discover = ready!(self.project().inner.poll(cx))?;
        Poll::Ready(Ok(Balance::new(discover)))
    }
}

impl<F, Req> fmt::Debug for MakeFuture<F, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MakeFuture").finish_non_exhaustive()
    }
}
