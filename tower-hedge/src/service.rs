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
/// The policy `P` says which requests, and `C` which answers count.
#[derive(Clone)]
pub struct Hedge<S, P, C = FirstOk> {
    inner: S,
    policy: P,
    classify: C,
    shared: Arc<Shared>,
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
        let settings = Settings::of_tower(min_data_points, latency_percentile, period);
        Self::build(service, policy, FirstOk, settings)
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

    /// Each second request is withdrawn from `budget`, and each success deposits into it. The default is a
    /// [`TpsBudget`](tower_retry::budget::TpsBudget) of its own; it can be shared with others, such as a retry policy.
    ///
    /// When the budget is exhausted, the first request is waited for.
    #[must_use]
    pub fn with_budget(mut self, budget: Arc<dyn Budget + Send + Sync>) -> Self {
        let mut shared = Shared::clone(&self.shared);
        shared.budget = budget;
        self.shared = Arc::new(shared);
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
        // The service is cloned after the call, when there is no readiness left that a clone could take along.
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
