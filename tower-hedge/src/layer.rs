use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;
use tower_retry::budget::Budget;

use crate::shared::Settings;
use crate::{Builder, FirstOk, Hedge};

/// Wraps services in [`Hedge`]. Each service measures its own latencies; all services of one layer share a budget.
#[derive(Clone, Debug)]
pub struct HedgeLayer<P, C = FirstOk> {
    policy: P,
    classify: C,
    settings: Settings,
}

impl HedgeLayer<()> {
    /// Returns a builder with the default settings.
    pub fn builder() -> Builder {
        Builder::new()
    }
}

impl<P> HedgeLayer<P> {
    /// See [`Hedge::new`].
    pub fn new(policy: P, min_data_points: u64, latency_percentile: f32, period: Duration) -> Self {
        let settings = Settings::of_tower(min_data_points, latency_percentile, period);
        Self::build(policy, FirstOk, settings)
    }
}

impl<P, C> HedgeLayer<P, C> {
    pub(crate) const fn build(policy: P, classify: C, settings: Settings) -> Self {
        Self {
            policy,
            classify,
            settings,
        }
    }

    /// See [`Hedge::with_budget`].
    #[must_use]
    pub fn with_budget(mut self, budget: Arc<dyn Budget + Send + Sync>) -> Self {
        self.settings.budget = budget;
        self
    }
}

impl<P: Clone, C: Clone, S> Layer<S> for HedgeLayer<P, C> {
    type Service = Hedge<S, P, C>;

    fn layer(&self, service: S) -> Hedge<S, P, C> {
        Hedge::build(
            service,
            self.policy.clone(),
            self.classify.clone(),
            self.settings.clone(),
        )
    }
}
