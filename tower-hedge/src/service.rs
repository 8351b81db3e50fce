use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;
use tower_retry::budget::{Budget, TpsBudget};
use tower_service::Service;

use crate::future::Future;
use crate::latencies::Latencies;
use crate::{BoxError, Policy};

/// Sends a slow request a second time; see the [crate's documentation](crate).
#[derive(Clone)]
pub struct Hedge<S, P> {
    inner: S,
    policy: P,
    shared: Shared,
}

impl<S, P> Hedge<S, P> {
    /// Sends the requests to `service` that `policy` allows a second time once they have taken longer than
    /// `latency_percentile` (from 0 to 1; 0.99 are 99 %) of those of the last `period`, if these were `min_data_points`
    /// at least.
    pub fn new<Request>(
        service: S,
        policy: P,
        min_data_points: u64,
        latency_percentile: f32,
        period: Duration,
    ) -> Self
    where
        S: Service<Request> + Clone,
        S::Error: Into<BoxError>,
        P: Policy<Request> + Clone,
    {
        Self::build(service, policy, min_data_points, latency_percentile, period)
    }

    /// Like [`new`](Self::new), as if the requests of the last period had taken `latencies_ms` milliseconds: for tests,
    /// and where it is known how long requests take.
    pub fn new_with_mock_latencies<Request>(
        service: S,
        policy: P,
        min_data_points: u64,
        latency_percentile: f32,
        period: Duration,
        latencies_ms: &[u64],
    ) -> Self
    where
        S: Service<Request> + Clone,
        S::Error: Into<BoxError>,
        P: Policy<Request> + Clone,
    {
        let hedge = Self::build(service, policy, min_data_points, latency_percentile, period);
        hedge.shared.latencies(|latencies| {
            latencies.preset(latencies_ms.iter().map(|&ms| Duration::from_millis(ms)))
        });
        hedge
    }

    pub(crate) fn build(
        service: S,
        policy: P,
        min_data_points: u64,
        latency_percentile: f32,
        period: Duration,
    ) -> Self {
        Self {
            inner: service,
            policy,
            shared: Shared {
                latencies: Arc::new(Mutex::new(Latencies::new(
                    latency_percentile.into(),
                    min_data_points,
                    period,
                    Instant::now(),
                ))),
                budget: Arc::new(TpsBudget::default()),
            },
        }
    }

    /// Each second request is withdrawn from `budget`, and each success deposits into it. The default is a
    /// [`TpsBudget`] of its own; it can be shared with others, such as a retry policy.
    ///
    /// When the budget is exhausted, the first request is waited for.
    #[must_use]
    pub fn with_budget(mut self, budget: Arc<dyn Budget + Send + Sync>) -> Self {
        self.shared.budget = budget;
        self
    }

    /// The service inside.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service inside.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service inside.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, P, Request> Service<Request> for Hedge<S, P>
where
    S: Service<Request> + Clone,
    S::Error: Into<BoxError>,
    P: Policy<Request> + Clone,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Future<S, P, Request>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let now = Instant::now();
        let copy = self
            .shared
            .latencies(|latencies| latencies.slow(now))
            .and_then(|slow| Some((slow, self.policy.clone_request(&request)?)));
        let first = self.inner.call(request);
        // The service is cloned after the call, when there is no readiness left that a clone could take along.
        let second =
            copy.map(|(slow, request)| (slow, self.policy.clone(), self.inner.clone(), request));
        Future::new(first, second, self.shared.clone(), now)
    }
}

impl<S: fmt::Debug, P: fmt::Debug> fmt::Debug for Hedge<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hedge")
            .field("inner", &self.inner)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// What clones and their responses share.
#[derive(Clone)]
pub(crate) struct Shared {
    latencies: Arc<Mutex<Latencies>>,
    budget: SharedBudget,
}

pub(crate) type SharedBudget = Arc<dyn Budget + Send + Sync>;

impl Shared {
    fn latencies<R>(&self, f: impl FnOnce(&mut Latencies) -> R) -> R {
        f(&mut self
            .latencies
            .lock()
            .unwrap_or_else(PoisonError::into_inner))
    }

    /// The first request took from `began` until now, or longer.
    pub(crate) fn record(&self, began: Instant) {
        let now = Instant::now();
        self.latencies(|latencies| latencies.record(now.saturating_duration_since(began), now));
    }

    pub(crate) fn deposit(&self) {
        self.budget.deposit();
    }

    pub(crate) fn withdraw(&self) -> bool {
        self.budget.withdraw()
    }
}
