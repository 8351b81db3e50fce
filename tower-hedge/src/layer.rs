use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;
use tower_retry::budget::{Budget, TpsBudget};

use crate::Hedge;
use crate::service::SharedBudget;

/// Wraps services in [`Hedge`]. Each measures for itself; all of one layer have one budget.
#[derive(Clone)]
pub struct HedgeLayer<P> {
    policy: P,
    min_data_points: u64,
    latency_percentile: f32,
    period: Duration,
    budget: SharedBudget,
}

impl<P> HedgeLayer<P> {
    /// See [`Hedge::new`].
    pub fn new(policy: P, min_data_points: u64, latency_percentile: f32, period: Duration) -> Self {
        Self {
            policy,
            min_data_points,
            latency_percentile,
            period,
            budget: Arc::new(TpsBudget::default()),
        }
    }

    /// See [`Hedge::with_budget`].
    #[must_use]
    pub fn with_budget(mut self, budget: Arc<dyn Budget + Send + Sync>) -> Self {
        self.budget = budget;
        self
    }
}

impl<P: Clone, S> Layer<S> for HedgeLayer<P> {
    type Service = Hedge<S, P>;

    fn layer(&self, service: S) -> Hedge<S, P> {
        Hedge::build(
            service,
            self.policy.clone(),
            self.min_data_points,
            self.latency_percentile,
            self.period,
        )
        .with_budget(Arc::clone(&self.budget))
    }
}

impl<P: std::fmt::Debug> std::fmt::Debug for HedgeLayer<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HedgeLayer")
            .field("policy", &self.policy)
            .field("min_data_points", &self.min_data_points)
            .field("latency_percentile", &self.latency_percentile)
            .field("period", &self.period)
            .finish_non_exhaustive()
    }
}
