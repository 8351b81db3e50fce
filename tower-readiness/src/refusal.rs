use std::fmt;
use std::panic::AssertUnwindSafe;
use std::task::{Context, Waker};

use tower_service::Service;

use crate::{BoxError, release};

/// Helps layers that refuse requests in `call` to release what the inner service has reserved for the request.
///
/// The inner service may fail when it is released. It must not be polled again then, so the error is kept and returned by the
/// layer's next `poll_ready`. A clone does not have the error.
///
/// # Example
///
/// ```
/// use std::future::{Ready, ready};
/// use std::task::{Context, Poll, ready};
/// use tower_readiness::Refusal;
/// use tower_service::Service;
///
/// type BoxError = Box<dyn std::error::Error + Send + Sync>;
///
/// /// Refuses odd numbers.
/// struct Even<S> {
///     inner: S,
///     refusal: Refusal,
/// }
///
/// impl<S> Service<u32> for Even<S>
/// where
///     S: Service<u32, Response = u32, Error = BoxError, Future = Ready<Result<u32, BoxError>>>,
/// {
///     type Response = u32;
///     type Error = BoxError;
///     type Future = Ready<Result<u32, BoxError>>;
///
///     fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
///         self.refusal.check()?;
///         self.inner.poll_ready(cx)
///     }
///
///     fn call(&mut self, request: u32) -> Self::Future {
///         if request % 2 == 1 {
///             self.refusal.release(&mut self.inner);
///             return ready(Err("odd".into()));
///         }
///         self.inner.call(request)
///     }
/// }
/// ```
#[derive(Default)]
pub struct Refusal {
    failed: AssertUnwindSafe<Option<BoxError>>,
}

impl Refusal {
    /// Creates a `Refusal` without an error.
    pub const fn new() -> Self {
        Self {
            failed: AssertUnwindSafe(None),
        }
    }

    /// Checks whether the service has failed. Must be called first in `poll_ready`.
    ///
    /// # Errors
    ///
    /// The error of the service from the last [`release`](Self::release), once.
    #[inline]
    pub fn check(&mut self) -> Result<(), BoxError> {
        match self.failed.take() {
            None => Ok(()),
            Some(error) => Err(error),
        }
    }

    /// Makes `service` release what it has reserved, as the function [`release`] does, and keeps its error for
    /// [`check`](Self::check).
    #[cold]
    pub fn release<S, Req>(&mut self, service: &mut S)
    where
        S: Service<Req, Error: Into<BoxError>>,
    {
        let cx = &mut Context::from_waker(Waker::noop());
        *self.failed = release(service, cx).err().map(Into::into);
    }
}

impl Clone for Refusal {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusal")
            .field("failed", &*self.failed)
            .finish()
    }
}
