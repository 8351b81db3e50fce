use std::fmt;
use std::task::{Context, Poll};
use std::time::Duration;

use tower_layer::Layer;
use tower_service::Service;

use crate::BoxError;
use crate::future::ResponseFuture;

/// Fails requests that take longer than a timeout that a closure chooses for each.
///
/// Otherwise it works like [`Timeout`](crate::Timeout). `None` means no timeout.
///
/// # Example
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use std::time::Duration;
/// use tower_timeout::TimeoutBy;
/// use tower_timeout::error::Elapsed;
/// use tower_util::{BoxError, ServiceExt, service_fn};
///
/// let service = service_fn(|path: &'static str| async move {
///     tokio::time::sleep(Duration::from_secs(5)).await;
///     Ok::<_, BoxError>(path)
/// });
/// let service = TimeoutBy::new(service, |path: &&str| match *path {
///     "/report" => None,
///     _ => Some(Duration::from_secs(1)),
/// });
/// assert_eq!(service.clone().oneshot("/report").await.unwrap(), "/report");
/// assert!(service.oneshot("/").await.unwrap_err().is::<Elapsed>());
/// # }
/// ```
#[derive(Clone)]
pub struct TimeoutBy<S, F> {
    inner: S,
    timeout: F,
}

/// Wraps services in [`TimeoutBy`].
#[derive(Clone)]
pub struct TimeoutByLayer<F> {
    timeout: F,
}

impl<F> TimeoutByLayer<F> {
    /// `timeout` returns the timeout of a request, or `None` for no timeout.
    pub const fn new<Req>(timeout: F) -> Self
    where
        F: Fn(&Req) -> Option<Duration>,
    {
        Self { timeout }
    }
}

impl<F: Clone, S> Layer<S> for TimeoutByLayer<F> {
    type Service = TimeoutBy<S, F>;

    fn layer(&self, inner: S) -> TimeoutBy<S, F> {
        TimeoutBy {
            inner,
            timeout: self.timeout.clone(),
        }
    }
}

impl<S, F> TimeoutBy<S, F> {
    /// Wraps `inner`; `timeout` returns the timeout of a request, or `None` for no timeout.
    pub const fn new<Req>(inner: S, timeout: F) -> Self
    where
        F: Fn(&Req) -> Option<Duration>,
    {
        Self { inner, timeout }
    }

    /// Returns a reference to the inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns a mutable reference to the inner service.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Consumes `self`, returning the inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, F, Req> Service<Req> for TimeoutBy<S, F>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
    F: Fn(&Req) -> Option<Duration>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let timeout = (self.timeout)(&request);
        let response = self.inner.call(request);
        match timeout {
            Some(timeout) => ResponseFuture::new(response, timeout),
            None => ResponseFuture::unbounded(response),
        }
    }
}

impl<S: fmt::Debug, F> fmt::Debug for TimeoutBy<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeoutBy")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for TimeoutByLayer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeoutByLayer").finish_non_exhaustive()
    }
}
