use std::fmt;
use std::future::Future;
use std::task::{Context, Poll};

use tower_service::Service;

/// Creates a [`Service`] from an async function from request to result. It is always ready.
///
/// # Example
///
/// ```
/// use tower_util::{BoxError, ServiceExt, service_fn};
///
/// async fn greet(name: &str) -> Result<String, BoxError> {
///     Ok(format!("Hello, {name}!"))
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// assert_eq!(service_fn(greet).oneshot("Ferris").await?, "Hello, Ferris!");
/// # Ok(())
/// # }
/// ```
pub const fn service_fn<T>(f: T) -> ServiceFn<T> {
    ServiceFn { f }
}

/// A [`Service`] created from a function; see [`service_fn`].
#[derive(Clone, Copy)]
pub struct ServiceFn<T> {
    f: T,
}

impl<T, F, Request, R, E> Service<Request> for ServiceFn<T>
where
    T: FnMut(Request) -> F,
    F: Future<Output = Result<R, E>>,
{
    type Response = R;
    type Error = E;
    type Future = F;

    #[inline]
    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, request: Request) -> F {
        (self.f)(request)
    }
}

impl<T> fmt::Debug for ServiceFn<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceFn")
            .field("f", &format_args!("{}", std::any::type_name::<T>()))
            .finish()
    }
}
