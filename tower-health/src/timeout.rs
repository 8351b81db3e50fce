use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use pin_project_lite::pin_project;
use tower_discover::{Change, Discover};
use tower_load::Load;
use tower_service::Service;
use tower_timeout::Timeout;
use tower_timeout::future::ResponseFuture;

use crate::BoxError;

pin_project! {
    /// A [`Discover`] that limits the time of each request to an endpoint: one that takes longer fails with
    /// [`Elapsed`](crate::error::Elapsed).
    ///
    /// A timeout above a balancer only cancels the requests to an endpoint that hangs. This timeout is below the
    /// balancer: an endpoint that hangs fails its requests, and the wrappers that count failures eject it.
    ///
    /// The order matters: call [`timeout_endpoints`](crate::HealthExt::timeout_endpoints) before
    /// [`eject_outliers`](crate::HealthExt::eject_outliers) and
    /// [`accrue_failures`](crate::HealthExt::accrue_failures). Wrappers added before the timeout do not see its errors.
    /// For them, a request that times out is cancelled, and counts only if it has waited as long as their
    /// `cancelled_after`. The timeout ejects nothing by itself, and has no effect on health checks.
    ///
    /// # Example
    ///
    /// The third endpoint never responds. After three timeouts it is ejected:
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), tower_health::BoxError> {
    /// use std::future::pending;
    /// use std::time::Duration;
    /// use tower_balance::p2c::Balance;
    /// use tower_classify::cause_ref;
    /// use tower_discover::ServiceList;
    /// use tower_health::error::Elapsed;
    /// use tower_health::policy::outlier::OutlierConfig;
    /// use tower_health::{BoxError, ErrorIsFailure, HealthExt};
    /// use tower_load::{CompleteOnResponse, PendingRequests};
    /// use tower_service::Service;
    /// use tower_util::{ServiceExt, service_fn};
    ///
    /// let endpoints = [true, true, false].map(|responds| {
    ///     let endpoint = service_fn(move |()| async move { if responds { Ok::<_, BoxError>(()) } else { pending().await } });
    ///     PendingRequests::new(endpoint, CompleteOnResponse::default())
    /// });
    /// let discover = ServiceList::new::<()>(endpoints)
    ///     .timeout_endpoints(Duration::from_secs(1))
    ///     .eject_outliers(OutlierConfig::default().consecutive(Some(3)), ErrorIsFailure)?;
    /// let health = discover.health().clone();
    /// let mut balance = Balance::new(discover);
    ///
    /// let mut failed = 0;
    /// for _ in 0..100 {
    ///     if let Err(error) = balance.ready().await?.call(()).await {
    ///         let elapsed = cause_ref::<Elapsed>(error.as_ref()).expect("no other error");
    ///         assert_eq!(elapsed.timeout(), Some(Duration::from_secs(1)));
    ///         failed += 1;
    ///     }
    /// }
    /// assert_eq!((failed, health.healthy(), health.len()), (3, 2, 3));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Requests fail with a [`BoxError`] that holds either the endpoint's error or `Elapsed`. Errors of the inner
    /// `Discover` are passed through.
    #[derive(Debug)]
    pub struct TimeoutEndpoints<D> {
        #[pin]
        inner: D,
        timeout: Duration,
    }
}

/// The service of an endpoint in a [`TimeoutEndpoints`]: a [`Timeout`] with the load of the inner service.
///
/// # Readiness
///
/// That of the inner service, without a time limit; nothing is reserved.
///
/// # Cancellation
///
/// Dropping the response future drops the inner one. After a timeout, the inner future exists until the caller drops the
/// response future, as `.await` does.
///
/// # Errors
///
/// See [`TimeoutEndpoints`].
///
/// # Cost
///
/// That of a [`Timeout`]: a response that is ready at the first poll costs a branch, any other a reading of the clock
/// and a timer from a pool. An error is boxed.
#[derive(Debug, Clone)]
pub struct TimeoutEndpoint<S> {
    inner: Timeout<S>,
}

impl<D> TimeoutEndpoints<D> {
    /// Fails each request to an endpoint of `discover` that takes longer than `timeout`.
    ///
    /// The time starts when the response future is first polled, and ends when it is ready. It includes neither the wait
    /// for readiness nor the reading of the response body. If `timeout` is zero, a response must be ready at the first
    /// poll.
    pub const fn new(discover: D, timeout: Duration) -> Self {
        Self {
            inner: discover,
            timeout,
        }
    }

    /// Returns a reference to the inner `Discover`.
    pub const fn get_ref(&self) -> &D {
        &self.inner
    }

    /// Returns a mutable reference to the inner `Discover`.
    pub const fn get_mut(&mut self) -> &mut D {
        &mut self.inner
    }

    /// Consumes `self`, returning the inner `Discover`.
    pub fn into_inner(self) -> D {
        self.inner
    }
}

impl<D, K, S, E> Stream for TimeoutEndpoints<D>
where
    D: Discover<Key = K, Service = S, Error = E>,
{
    type Item = Result<Change<K, TimeoutEndpoint<S>>, E>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        let timeout = *this.timeout;
        this.inner.poll_discover(cx).map_ok(|change| match change {
            Change::Insert(key, service) => {
                let inner = Timeout::new(service, timeout);
                Change::Insert(key, TimeoutEndpoint { inner })
            }
            Change::Remove(key) => Change::Remove(key),
        })
    }
}

impl<S> TimeoutEndpoint<S> {
    /// Returns a reference to the inner service.
    pub fn get_ref(&self) -> &S {
        self.inner.get_ref()
    }

    /// Returns a mutable reference to the inner service.
    pub fn get_mut(&mut self) -> &mut S {
        self.inner.get_mut()
    }

    /// Consumes `self`, returning the inner service.
    pub fn into_inner(self) -> S {
        self.inner.into_inner()
    }
}

impl<S, Req> Service<Req> for TimeoutEndpoint<S>
where
    S: Service<Req, Error: Into<BoxError>>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        self.inner.call(request)
    }
}

impl<S: Load> Load for TimeoutEndpoint<S> {
    type Metric = S::Metric;

    fn load(&self) -> S::Metric {
        self.get_ref().load()
    }

    fn relative_weight(load: &Self) -> u32 {
        S::relative_weight(load.get_ref())
    }
}
