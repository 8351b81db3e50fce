use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;
use tower_retry::budget::Budget;
use tower_service::Service;

use crate::future::Future;
use crate::plan::Plan;
use crate::shared::{Settings, Shared};
use crate::wait::Wait;
use crate::{BoxError, Classify, FirstOk, Policy};

/// Sends a slow request a second time; see the [crate's documentation](crate).
///
/// The policy `P` decides which requests may be hedged, and `C` which response is returned.
#[derive(Clone)]
pub struct Hedge<S, P, C = FirstOk> {
    inner: S,
    policy: P,
    classify: C,
    shared: Arc<Shared>,
}

impl<S, P> Hedge<S, P> {
    /// Wraps `service`. A request that `policy` allows is hedged once it has taken longer than the `latency_percentile`
    /// (from 0 to 1; 0.99 is the 99th percentile) of the requests of the last `period`, if there were at least
    /// `min_data_points`.
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
        let settings = Settings::of_tower(min_data_points, latency_percentile, period);
        Self::build(service, policy, FirstOk, settings)
    }

    /// Like [`new`](Self::new), as if the requests of the last period had taken `latencies_ms` milliseconds. For tests,
    /// and for services whose latencies are known.
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
        let settings = Settings::of_tower(min_data_points, latency_percentile, period);
        let hedge = Self::build(service, policy, FirstOk, settings);
        let latencies = latencies_ms.iter().map(|&ms| Duration::from_millis(ms));
        hedge.shared.preset(latencies);
        hedge
    }
}

impl<S, P, C> Hedge<S, P, C> {
    pub(crate) fn build(inner: S, policy: P, classify: C, settings: Settings) -> Self {
        Self {
            inner,
            policy,
            classify,
            shared: Arc::new(Shared::new(settings)),
        }
    }

    /// Sets the budget: each hedge withdraws from `budget`, and each success deposits into it. By default each service
    /// has its own [`TpsBudget`](tower_retry::budget::TpsBudget); one can be shared, for example with a retry policy.
    ///
    /// When the budget is exhausted, no hedge is sent.
    #[must_use]
    pub fn with_budget(mut self, budget: Arc<dyn Budget + Send + Sync>) -> Self {
        let mut shared = Shared::clone(&self.shared);
        shared.budget = budget;
        self.shared = Arc::new(shared);
        self
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

impl<S, P, C, Request> Service<Request> for Hedge<S, P, C>
where
    S: Service<Request> + Clone,
    S::Error: Into<BoxError>,
    P: Policy<Request> + Clone,
    C: Classify<S::Response> + Clone,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Future<S, P, C, Request>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let now = Instant::now();
        let copy = self
            .shared
            .delay(now)
            .and_then(|delay| Some((delay, self.policy.clone_request(&request)?)));
        let first = self.inner.call(request);
        // The service is cloned after the call, when it holds no reservation that a clone could take along.
        let next = copy.map(|(delay, request)| {
            let plan = Plan {
                policy: self.policy.clone(),
                service: self.inner.clone(),
                request,
                sent: 1,
            };
            (Wait::until(now, delay), plan)
        });
        let (classify, shared) = (self.classify.clone(), Arc::clone(&self.shared));
        Future::new(first, next, classify, shared, now)
    }
}

impl<S: fmt::Debug, P: fmt::Debug, C> fmt::Debug for Hedge<S, P, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hedge")
            .field("inner", &self.inner)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
