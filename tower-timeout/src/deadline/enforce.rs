use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_readiness::Refusal;
use tower_service::Service;

use super::Deadline;
use crate::BoxError;
use crate::alarm::Alarm;
use crate::error::DeadlineExceeded;

/// Fails requests whose [`Deadline`] has passed; a closure returns the deadline of each request.
///
/// A request whose deadline has passed before it is sent fails without a call to the inner service, and the capacity
/// that was reserved for it is released. If the deadline passes later, the response future is dropped.
///
/// Put it outside retries or a buffer to include their waits and all attempts.
///
/// # Errors
///
/// A [`BoxError`] with [`DeadlineExceeded`], or with the inner service's error.
///
/// # Cost
///
/// A request with a deadline reads the clock once. A timer is set only if the response is not ready at the first poll.
///
/// # Example
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use std::time::Duration;
/// use tokio::time::Instant;
/// use tower_timeout::error::DeadlineExceeded;
/// use tower_timeout::{Deadline, EnforceDeadline};
/// use tower_util::{BoxError, ServiceExt, service_fn};
///
/// let second = Duration::from_secs(1);
/// let service = service_fn(|_deadline: Deadline| async move {
///     tokio::time::sleep(2 * second).await;
///     Ok::<_, BoxError>("done")
/// });
/// let service = EnforceDeadline::new(service, |request: &Deadline| Some(*request));
/// let deadline = Deadline::after(Instant::now(), 3 * second);
/// assert_eq!(service.clone().oneshot(deadline).await.unwrap(), "done");
/// // One second is left, and the service takes two.
/// assert!(service.oneshot(deadline).await.unwrap_err().is::<DeadlineExceeded>());
/// # }
/// ```
#[derive(Clone)]
pub struct EnforceDeadline<S, F> {
    inner: S,
    deadline: F,
    refusal: Refusal,
}

/// Wraps services in [`EnforceDeadline`].
#[derive(Clone)]
pub struct EnforceDeadlineLayer<F> {
    deadline: F,
}

impl<F> EnforceDeadlineLayer<F> {
    /// `deadline` returns the deadline of a request, or `None`.
    pub const fn new<Req>(deadline: F) -> Self
    where
        F: Fn(&Req) -> Option<Deadline>,
    {
        Self { deadline }
    }
}

impl<F: Clone, S> Layer<S> for EnforceDeadlineLayer<F> {
    type Service = EnforceDeadline<S, F>;

    fn layer(&self, inner: S) -> EnforceDeadline<S, F> {
        EnforceDeadline {
            inner,
            deadline: self.deadline.clone(),
            refusal: Refusal::new(),
        }
    }
}

impl<S, F> EnforceDeadline<S, F> {
    /// Wraps `inner`; `deadline` returns the deadline of a request, or `None`.
    pub const fn new<Req>(inner: S, deadline: F) -> Self
    where
        F: Fn(&Req) -> Option<Deadline>,
    {
        Self {
            inner,
            deadline,
            refusal: Refusal::new(),
        }
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

impl<S, F, Req> Service<Req> for EnforceDeadline<S, F>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
    F: Fn(&Req) -> Option<Deadline>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = EnforceFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.refusal.check()?;
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        match (self.deadline)(&request) {
            None => EnforceFuture::unbounded(self.inner.call(request)),
            Some(deadline) if deadline.has_passed(Instant::now()) => {
                self.refusal.release(&mut self.inner);
                EnforceFuture::passed(deadline)
            }
            Some(deadline) => EnforceFuture::until(deadline, self.inner.call(request)),
        }
    }
}

pin_project! {
    /// The response future of [`EnforceDeadline`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct EnforceFuture<T> {
        // `None` if the request was not sent.
        #[pin]
        response: Option<T>,
        deadline: Option<Deadline>,
        alarm: Option<Alarm>,
    }
}

impl<T> EnforceFuture<T> {
    pub(crate) const fn unbounded(response: T) -> Self {
        Self {
            response: Some(response),
            deadline: None,
            alarm: None,
        }
    }

    pub(crate) const fn until(deadline: Deadline, response: T) -> Self {
        Self {
            response: Some(response),
            deadline: Some(deadline),
            alarm: None,
        }
    }

    pub(crate) const fn passed(deadline: Deadline) -> Self {
        Self {
            response: None,
            deadline: Some(deadline),
            alarm: None,
        }
    }
}

impl<F, T, E> Future for EnforceFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(response) = this.response.as_mut().as_pin_mut() {
            if let Poll::Ready(result) = response.poll(cx) {
                return Poll::Ready(result.map_err(Into::into));
            }
            let Some(deadline) = this.deadline else {
                return Poll::Pending;
            };
            let alarm = this
                .alarm
                .get_or_insert_with(|| Alarm::new(deadline.instant()));
            if alarm.poll(cx).is_pending() {
                return Poll::Pending;
            }
            // Releases what the response holds, and cancels the work for it.
            this.response.set(None);
        }
        let exceeded = DeadlineExceeded::new(*this.deadline);
        Poll::Ready(Err(exceeded.into()))
    }
}

impl<S: fmt::Debug, F> fmt::Debug for EnforceDeadline<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnforceDeadline")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for EnforceDeadlineLayer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnforceDeadlineLayer")
            .finish_non_exhaustive()
    }
}
