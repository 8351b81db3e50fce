//! Methods for services that tower 0.5.3 does not have.
//!
//! A method that is added to a trait can make a method of the same name in another trait ambiguous. So
//! [`ServiceExt`](crate::ServiceExt) has exactly the methods that it has in tower 0.5.3. Newer methods are in this module, and
//! are available if you import the trait. Their names are those of tower's main branch.

use tower_service::Service;

use crate::util::BoxCloneSyncService;

/// Wraps a [`Service`] in a middleware.
///
/// # Example
///
/// ```
/// # #[cfg(all(feature = "buffer", feature = "retry"))]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tower::BoxError> {
/// use tower::ext::WrapExt;
/// use tower::retry::RetryPolicy;
/// use tower::util::BoxCloneSyncService;
/// use tower::{BoxError, ServiceExt, service_fn};
///
/// let mut calls = 0;
/// let flaky = service_fn(move |n: u32| {
///     calls += 1;
///     std::future::ready(if calls == 1 { Err("the first call fails") } else { Ok(n + 1) })
/// });
/// // The handles share the service behind a buffer, and retry requests that fail.
/// let service: BoxCloneSyncService<u32, u32, BoxError> =
///     flaky.buffered(8).retry(RetryPolicy::builder().build()).boxed_clone_sync();
/// assert_eq!(service.oneshot(1).await?, 2);
/// # Ok(())
/// # }
/// # #[cfg(not(all(feature = "buffer", feature = "retry")))]
/// # fn main() {}
/// ```
pub trait WrapExt<Request>: Service<Request> + Sized {
    /// Hides the type of the service, which stays `Clone` and `Sync`. Its response futures need not be `Sync`.
    fn boxed_clone_sync(self) -> BoxCloneSyncService<Request, Self::Response, Self::Error>
    where
        Self: Clone + Send + Sync + 'static,
        Self::Future: Send + 'static,
    {
        BoxCloneSyncService::new(self)
    }

    /// Shares the service among clones, with a queue of `bound` requests; see [`Buffer::new`](crate::buffer::Buffer::new).
    ///
    /// # Panics
    ///
    /// If `bound` is zero, or outside of a tokio runtime.
    #[cfg(feature = "buffer")]
    fn buffered(self, bound: usize) -> crate::buffer::Buffer<Request, Self::Future>
    where
        Self: Send + 'static,
        Self::Error: Into<crate::BoxError> + Send + Sync,
        Self::Future: Send,
        Request: Send + 'static,
    {
        crate::buffer::Buffer::new(self, bound)
    }

    /// Retries failed requests as `policy` decides; see [`Retry`](crate::retry::Retry).
    #[cfg(feature = "retry")]
    fn retry<P>(self, policy: P) -> crate::retry::Retry<P, Self>
    where
        P: crate::retry::Policy<Request, Self::Response, Self::Error> + Clone,
        Self: Clone,
    {
        crate::retry::Retry::new(policy, self)
    }
}

impl<S, Request> WrapExt<Request> for S where S: Service<Request> {}
