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

use super::gate::Pass;
use super::rule::{Account, Live, Rule, Running};

/// The service of an endpoint whose health is looked after: ready when the inner one is and the endpoint may be used.
///
/// Its parameters, but for the first, are private to the wrapper that makes it. Where a type has to be named, name that of
/// the discovery, and its service by `<D as Discover>::Service`.
///
/// # Readiness
///
/// While the endpoint is out, it is pending and does not poll the inner service. The task is woken when the endpoint
/// returns, and also when it goes out.
///
/// # Cancellation
///
/// A request whose future is dropped counts as a failure if it had waited for as long as the configuration says
/// (`cancelled_after`). Otherwise it does not count, and neither does one that panics or is
/// [`withdrawn`](super::withdrawn()).
///
/// # Cost
///
/// `poll_ready` reads a word, and takes a lock of the endpoint's with another waker than before, or when the endpoint has gone
/// out or returned. A request reads the clock when it starts. When it ends,
///
/// - by [`EjectOutliers`](super::EjectOutliers) a success is an atomic addition at the endpoint, and a failure a reading of
///   the clock and a lock that all endpoints share; where silence counts, a request is an addition more, when it starts;
/// - by [`AccrueFailures`](super::AccrueFailures) it reads the clock; while the endpoint is alive, a success is an atomic addition
///   at the endpoint, and anything else, and the first request of each step of the window, takes a lock of the endpoint's.
///
/// A reference to the endpoint is counted up and down by each request, for each service by itself.
pub struct Guarded<S, R: Rule, C> {
    inner: S,
    pass: Pass,
    live: Arc<Live<R>>,
    account: Arc<Account<R, C>>,
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
        running: Option<Running<R, C>>,
        info: I,
        _request: PhantomData<fn(Req)>,
    }
}

impl<S, R: Rule, C> Guarded<S, R, C> {
    pub(super) fn new((inner, live): (S, Arc<Live<R>>), classify: C) -> Self {
        Self {
            inner,
            pass: live.pass(),
            account: live.account(classify),
            live,
        }
    }

    /// The inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service.
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
        ready!(self.pass.poll(cx));
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let running = self.account.begin();
        let info = running.classify().info(&request);
        GuardedFuture::new(self.inner.call(request), running, info)
    }
}

impl<F, R: Rule, C, I, Req> GuardedFuture<F, R, C, I, Req> {
    pub(super) const fn new(inner: F, running: Running<R, C>, info: I) -> Self {
        Self {
            inner,
            running: Some(running),
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
        if let Some(running) = this.running.take() {
            let class = running.classify().classify(this.info, result.as_ref());
            running.end(class);
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
            .field("endpoint", &self.live.0.seat.key)
            .finish_non_exhaustive()
    }
}

impl<F, R: Rule, C, I, Req> fmt::Debug for GuardedFuture<F, R, C, I, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedFuture").finish_non_exhaustive()
    }
}
