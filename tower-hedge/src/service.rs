use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;
use tower_classify::{Classify, ErrorIsFailure};
use tower_retry::budget::Budget;
use tower_service::Service;

use crate::future::Future;
use crate::plan::Plan;
use crate::state::{Settings, State};
use crate::state_ref::StateHandle;
use crate::wait::Wait;
use crate::{BoxError, Keep, KeepErrors, Policy};

/// Sends a slow request a second time; see the [crate's documentation](crate).
///
/// | parameter | decides | default |
/// |---|---|---|
/// | `P` | which requests may be hedged: a [`Policy`] | |
/// | `C` | which response is returned: a [`Classify`] | [`ErrorIsFailure`] |
/// | `L` | what is kept of an attempt that has lost: a [`Keep`] | [`KeepErrors`] |
#[derive(Clone)]
pub struct Hedge<S, P, C = ErrorIsFailure, L = KeepErrors> {
    inner: S,
    policy: P,
    classify: C,
    state: StateHandle,
    keep: PhantomData<L>,
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
        Self::build(service, policy, ErrorIsFailure, settings)
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
        let hedge = Self::build(service, policy, ErrorIsFailure, settings);
        let latencies = latencies_ms.iter().map(|&ms| Duration::from_millis(ms));
        hedge.state.preset(latencies);
        hedge
    }
}

impl<S, P, C, L> Hedge<S, P, C, L> {
    pub(crate) fn build(inner: S, policy: P, classify: C, settings: Settings) -> Self {
        Self {
            inner,
            policy,
            classify,
            state: StateHandle::new(State::new(settings)),
            keep: PhantomData,
        }
    }

    /// Sets the budget: each hedge withdraws from `budget`, and each success deposits into it. By default each service
    /// has its own [`TpsBudget`](tower_retry::budget::TpsBudget). A budget can be shared, for example with a retry
    /// policy.
    ///
    /// When the budget is exhausted, no hedge is sent.
    #[must_use]
    pub fn with_budget(mut self, budget: Arc<dyn Budget + Send + Sync>) -> Self {
        let mut state = State::clone(&self.state);
        state.budget = budget;
        self.state = StateHandle::new(state);
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

impl<S, P, C, L, Request> Service<Request> for Hedge<S, P, C, L>
where
    S: Service<Request> + Clone,
    S::Error: Into<BoxError>,
    P: Policy<Request> + Clone,
    C: Classify<Request, S::Response, BoxError> + Clone,
    L: Keep,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Future<S, P, C, Request, L>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let now = Instant::now();
        let copy = self
            .state
            .delay(now)
            .and_then(|delay| Some((delay, self.policy.clone_request(&request)?)));
        let info = self.classify.info(&request);
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
        let (classify, state) = ((self.classify.clone(), info), self.state.state_ref());
        Future::new(first, next, classify, state, now)
    }
}

impl<S: fmt::Debug, P: fmt::Debug, C, L> fmt::Debug for Hedge<S, P, C, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hedge")
            .field("inner", &self.inner)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
