//! The trait of the Tower family: [`Service`], an asynchronous function from a request to a response.
//!
//! This crate contains only the trait and has no dependencies, so that libraries can use it without depending on
//! middleware. The middleware, and a builder to stack it, is in the crate `tower`. The interface is that of `tower-service`
//! 0.3.

use std::future::Future;
use std::task::{Context, Poll};

/// An asynchronous function from a `Request` to a [`Response`](Service::Response) or an [`Error`](Service::Error).
///
/// A `Service` is a server's handler, a client (a connection, a connection pool), or middleware between the two, such
/// as a timeout, a limit or retries, that wraps any other service, whatever its protocol.
///
/// # Contract
///
/// 1. **Ready, then call.** The caller polls [`poll_ready`](Service::poll_ready) until it returns `Ready(Ok(()))`, and
///    only then calls [`call`](Service::call), once. `call` may panic if the service is not ready.
/// 2. **Readiness is a reservation** that belongs to this value: a permit, a queue slot, a connection. It is held until
///    `call`, or until the value is dropped, which releases it. Polling again meanwhile is allowed and cheap.
/// 3. **A clone is not ready.** A clone of a ready service must be polled itself before it is called.
/// 4. **An error from `poll_ready` is final**: the service must not be used again, and should be dropped.
/// 5. **Dropping the future cancels the request**, at any point, and releases what the future holds.
///
/// # Example
///
/// A service that responds with the length of its request, and middleware that rejects empty requests before they reach
/// it:
///
/// ```
/// use std::future::{Future, Ready, ready};
/// use std::pin::Pin;
/// use std::task::{Context, Poll};
/// use tower_service::Service;
///
/// #[derive(Clone)]
/// struct Length;
///
/// impl Service<String> for Length {
///     type Response = usize;
///     type Error = &'static str;
///     type Future = Ready<Result<usize, &'static str>>;
///
///     fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
///         Poll::Ready(Ok(()))
///     }
///
///     fn call(&mut self, request: String) -> Self::Future {
///         ready(Ok(request.len()))
///     }
/// }
///
/// #[derive(Clone)]
/// struct NonEmpty<S> {
///     inner: S,
/// }
///
/// impl<S> Service<String> for NonEmpty<S>
/// where
///     S: Service<String, Response = usize, Error = &'static str>,
///     S::Future: Send + 'static,
/// {
///     type Response = S::Response;
///     type Error = S::Error;
///     type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;
///
///     fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
///         self.inner.poll_ready(cx)
///     }
///
///     fn call(&mut self, request: String) -> Self::Future {
///         if request.is_empty() {
///             return Box::pin(ready(Err("empty request")));
///         }
///         Box::pin(self.inner.call(request))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let mut service = NonEmpty { inner: Length };
/// std::future::poll_fn(|cx| Service::poll_ready(&mut service, cx)).await.unwrap();
/// assert_eq!(service.call("four".to_owned()).await, Ok(4));
///
/// std::future::poll_fn(|cx| Service::poll_ready(&mut service, cx)).await.unwrap();
/// assert_eq!(service.call(String::new()).await, Err("empty request"));
/// # }
/// ```
///
/// # Cloning inside `call`
///
/// A future that outlives `call` cannot borrow the service. Do not clone the inner service and call the clone: only the
/// original is ready. Leave the clone in its place and call the original:
///
/// ```
/// # use std::{future::Future, pin::Pin, task::{Context, Poll}};
/// # use tower_service::Service;
/// # struct Logged<S> { inner: S }
/// # impl<S, R> Service<R> for Logged<S>
/// # where S: Service<R> + Clone + Send + 'static, S::Future: Send, R: Send + 'static {
/// #     type Response = S::Response;
/// #     type Error = S::Error;
/// #     type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;
/// #     fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> { self.inner.poll_ready(cx) }
/// fn call(&mut self, request: R) -> Self::Future {
///     let clone = self.inner.clone();
///     let mut ready = std::mem::replace(&mut self.inner, clone);
///     Box::pin(async move { ready.call(request).await })
/// }
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `Service<{Request}>`",
    label = "a `Service` that takes `{Request}` is needed here",
    note = "a function becomes a service through `tower::service_fn`; check also the request type, and whether a layer above \
            asks its inner service to be `Clone` or its error to be `Into<BoxError>`"
)]
pub trait Service<Request> {
    /// The type of a successful response.
    type Response;

    /// The type of an error, from readiness or from a request.
    type Error;

    /// The future of the response. It does nothing until it is polled; dropping it cancels the request.
    type Future: Future<Output = Result<Self::Response, Self::Error>>;

    /// Reserves what one [`call`](Service::call) needs.
    ///
    /// - `Poll::Ready(Ok(()))`: the service can take one request now.
    /// - `Poll::Pending`: not ready; the task of `cx` is woken when the service should be polled again.
    /// - `Poll::Ready(Err(_))`: the service takes no more requests and should be dropped.
    ///
    /// It may be polled again after it returned `Ready(Ok(()))`, and may then return `Pending`: only the latest result
    /// counts.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>>;

    /// Sends the request and returns the future of its response.
    ///
    /// # Panics
    ///
    /// An implementation may panic if [`poll_ready`](Service::poll_ready) has not returned `Poll::Ready(Ok(()))`
    /// before.
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    fn call(&mut self, req: Request) -> Self::Future;
}

impl<'a, S, Request> Service<Request> for &'a mut S
where
    S: Service<Request> + 'a,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        (**self).poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request) -> S::Future {
        (**self).call(request)
    }
}

impl<S, Request> Service<Request> for Box<S>
where
    S: Service<Request> + ?Sized,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        (**self).poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request) -> S::Future {
        (**self).call(request)
    }
}
