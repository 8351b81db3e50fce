use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_classify::Classify;
use tower_load::Load;
use tower_service::Service;

use super::endpoint_status::StatusWaiter;
use super::rule::{EndpointRef, InFlight, Registration, Rule};

/// The service of an endpoint whose health is monitored. It is ready if the inner service is ready and the endpoint is
/// not ejected.
///
/// All type parameters but the first are private to the wrapper that creates the service. To name the type, write
/// `<D as Discover>::Service`, where `D` is the type of the wrapper.
///
/// # Readiness
///
/// While the endpoint is ejected, `poll_ready` returns pending and does not poll the inner service. The task is woken
/// when the endpoint returns, and also when it is ejected.
///
/// # Cancellation
///
/// A request whose response future is dropped counts as a failure if it has waited at least as long as
/// `cancelled_after` in the configuration. Otherwise it does not count; neither does a request that panics or that is
/// [`withdrawn`](super::withdrawn()).
///
/// # Cost
///
/// `poll_ready` reads an atomic. It takes a lock of the endpoint if the waker has changed, or if the endpoint was
/// ejected or has returned since the last poll. Each request reads the clock when it begins, and increments and
/// decrements a reference count that the service does not share with others. When it ends:
///
/// - [`EjectOutliers`](super::EjectOutliers): a success takes an atomic addition on a counter of the endpoint; a
///   failure
///   reads the clock and takes a lock that all endpoints share. With `count_silence`, each request takes another addition
///   when it begins.
/// - [`AccrueFailures`](super::AccrueFailures): each request reads the clock. While the endpoint is alive, a success
///   takes an
///   atomic addition on a counter of the endpoint. Any other result, and the first request of each step of the window,
///   takes a lock of the endpoint.
pub struct Guarded<S, R: Rule, C> {
    inner: S,
    waiter: StatusWaiter,
    registration: Arc<Registration<R>>,
    endpoint_ref: Arc<EndpointRef<R, C>>,
}

pin_project! {
    /// The response future of a [`Guarded`] service.
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct GuardedFuture<F, R, C, I, Req>
    where
        R: Rule,
    {
        #[pin]
        inner: F,
        in_flight: Option<InFlight<R, C>>,
        info: I,
        _request: PhantomData<fn(Req)>,
    }
}

impl<S, R: Rule, C> Guarded<S, R, C> {
    pub(super) fn new((inner, registration): (S, Arc<Registration<R>>), classify: C) -> Self {
        Self {
            inner,
            waiter: registration.waiter(),
            endpoint_ref: registration.endpoint_ref(classify),
            registration,
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
}

impl<S, R, C, Req> Service<Req> for Guarded<S, R, C>
where
    S: Service<Req>,
    R: Rule,
    C: Classify<Req, S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = GuardedFuture<S::Future, R, C, C::Info, Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        ready!(self.waiter.poll(cx));
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let in_flight = self.endpoint_ref.begin();
        let info = in_flight.classify().info(&request);
        GuardedFuture::new(self.inner.call(request), in_flight, info)
    }
}

impl<F, R: Rule, C, I, Req> GuardedFuture<F, R, C, I, Req> {
    pub(super) const fn new(inner: F, in_flight: InFlight<R, C>, info: I) -> Self {
        Self {
            inner,
            in_flight: Some(in_flight),
            info,
            _request: PhantomData,
        }
    }
}

impl<F, R, C, Req, T, E> Future for GuardedFuture<F, R, C, C::Info, Req>
where
    F: Future<Output = Result<T, E>>,
    R: Rule,
    C: Classify<Req, T, E>,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.inner.poll(cx));
        if let Some(in_flight) = this.in_flight.take() {
            let class = in_flight.classify().classify(this.info, result.as_ref());
            in_flight.end(class);
        }
        Poll::Ready(result)
    }
}

impl<S: Load, R: Rule, C> Load for Guarded<S, R, C> {
    type Metric = S::Metric;

    fn load(&self) -> S::Metric {
        self.inner.load()
    }

    fn relative_weight(load: &Self) -> u32 {
        S::relative_weight(&load.inner)
    }
}

impl<S: fmt::Debug, R: Rule, C> fmt::Debug for Guarded<S, R, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded")
            .field("inner", &self.inner)
            .field("endpoint", &self.registration.0.membership.key)
            .finish_non_exhaustive()
    }
}

impl<F, R: Rule, C, I, Req> fmt::Debug for GuardedFuture<F, R, C, I, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedFuture").finish_non_exhaustive()
    }
}
