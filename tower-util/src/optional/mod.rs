pub mod error;
pub mod future;

use std::task::{Context, Poll};

use tower_service::Service;

use self::future::ResponseFuture;
use crate::BoxError;

/// An optional service; if it is absent, requests fail with [`error::None`].
///
/// # Example
///
/// ```
/// use std::convert::Infallible;
/// use tower_util::{Optional, ServiceExt, error::optional, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let double = service_fn(async |n: u32| Ok::<_, Infallible>(2 * n));
/// let mut service = Optional::new::<u32>(Some(double));
/// assert_eq!(service.clone().oneshot(4).await.unwrap(), 8);
///
/// service.take();
/// assert!(service.oneshot(4).await.unwrap_err().is::<optional::None>());
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Optional<T> {
    inner: Option<T>,
}

impl<T> Optional<T> {
    /// Sends requests to `inner`, if there is one.
    pub const fn new<Request>(inner: Option<T>) -> Self
    where
        T: Service<Request>,
        T::Error: Into<BoxError>,
    {
        Self { inner }
    }

    /// Takes the service, leaving none.
    pub const fn take(&mut self) -> Option<T> {
        self.inner.take()
    }
}

impl<T, Request> Service<Request> for Optional<T>
where
    T: Service<Request>,
    T::Error: Into<BoxError>,
{
    type Response = T::Response;
    type Error = BoxError;
    type Future = ResponseFuture<T::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match &mut self.inner {
            Some(inner) => inner.poll_ready(cx).map_err(Into::into),
            None => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, request: Request) -> Self::Future {
        ResponseFuture::new(self.inner.as_mut().map(|inner| inner.call(request)))
    }
}
