use std::task::{Context, Poll};

use tower_readiness::Refusal;
use tower_service::Service;

use super::future::{AsyncResponseFuture, ResponseFuture};
use super::{AsyncFilterLayer, AsyncPredicate, FilterLayer, Predicate};
use crate::BoxError;

/// Passes each request to the predicate `U`, and sends the one it returns to `T`; see the [module](super).
#[derive(Debug, Clone)]
pub struct Filter<T, U> {
    inner: T,
    predicate: U,
    refusal: Refusal,
}

/// Passes each request to the async predicate `U`, and sends the one it returns to `T`; see the [module](super).
#[derive(Debug, Clone)]
pub struct AsyncFilter<T, U> {
    inner: T,
    predicate: U,
}

macro_rules! accessors {
    ($name:ident, $layer:ident $(, $refusal:ident)?) => {
        impl<T, U> $name<T, U> {
            /// Wraps `inner`, passing each request to `predicate`.
            pub const fn new(inner: T, predicate: U) -> Self {
                Self { inner, predicate, $($refusal: Refusal::new())? }
            }

            /// Returns a layer that passes requests to `predicate`.
            pub const fn layer(predicate: U) -> $layer<U> {
                $layer::new(predicate)
            }

            /// Returns a reference to the inner service.
            pub const fn get_ref(&self) -> &T {
                &self.inner
            }

            /// Returns a mutable reference to the inner service.
            pub const fn get_mut(&mut self) -> &mut T {
                &mut self.inner
            }

            /// Consumes `self`, returning the inner service.
            pub fn into_inner(self) -> T {
                self.inner
            }
        }
    };
}

accessors!(Filter, FilterLayer, refusal);
accessors!(AsyncFilter, AsyncFilterLayer);

impl<T, U> Filter<T, U> {
    /// Runs the predicate on `request`, without sending it.
    pub fn check<R>(&mut self, request: R) -> Result<U::Request, BoxError>
    where
        U: Predicate<R>,
    {
        self.predicate.check(request)
    }
}

impl<T, U> AsyncFilter<T, U> {
    /// Runs the predicate on `request`, without sending it.
    pub async fn check<R>(&mut self, request: R) -> Result<U::Request, BoxError>
    where
        U: AsyncPredicate<R>,
    {
        self.predicate.check(request).await
    }
}

impl<T, U, Request> Service<Request> for Filter<T, U>
where
    U: Predicate<Request>,
    T: Service<U::Request>,
    T::Error: Into<BoxError>,
{
    type Response = T::Response;
    type Error = BoxError;
    type Future = ResponseFuture<T::Response, T::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.refusal.check()?;
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let checked = self.predicate.check(request);
        if checked.is_err() {
            self.refusal.release(&mut self.inner);
        }
        ResponseFuture::new(checked.map(|request| self.inner.call(request)))
    }
}

impl<T, U, Request> Service<Request> for AsyncFilter<T, U>
where
    U: AsyncPredicate<Request>,
    T: Service<U::Request> + Clone,
    T::Error: Into<BoxError>,
{
    type Response = T::Response;
    type Error = BoxError;
    type Future = AsyncResponseFuture<U, T, Request>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // The future takes the service that is ready, and a clone stays here.
        let clone = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, clone);
        AsyncResponseFuture::new(self.predicate.check(request), ready)
    }
}
