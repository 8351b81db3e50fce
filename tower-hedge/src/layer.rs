use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use tower_classify::ErrorIsFailure;
use tower_layer::Layer;
use tower_retry::budget::Budget;

use crate::state::Settings;
use crate::{Builder, Hedge, KeepErrors};

/// Wraps services in [`Hedge`]. Each service measures its own latencies; all services of a layer share a budget.
#[derive(Clone, Debug)]
pub struct HedgeLayer<P, C = ErrorIsFailure, L = KeepErrors> {
    policy: P,
    classify: C,
    settings: Settings,
    keep: PhantomData<L>,
}

impl HedgeLayer<()> {
    /// Returns a builder with the default settings.
    pub fn builder() -> Builder {
        Builder::new()
    }
}

impl<P> HedgeLayer<P> {
    /// Creates a layer with the settings of [`Hedge::new`].
    pub fn new(policy: P, min_data_points: u64, latency_percentile: f32, period: Duration) -> Self {
        let settings = Settings::of_tower(min_data_points, latency_percentile, period);
        Self::build(policy, ErrorIsFailure, settings)
    }
}

impl<P, C, L> HedgeLayer<P, C, L> {
    pub(crate) const fn build(policy: P, classify: C, settings: Settings) -> Self {
        Self {
            policy,
            classify,
            settings,
            keep: PhantomData,
        }
    }

    /// Sets the budget of all services of this layer: see [`Hedge::with_budget`].
    #[must_use]
    pub fn with_budget(mut self, budget: Arc<dyn Budget + Send + Sync>) -> Self {
        self.settings.budget = budget;
        self
    }
}

impl<P: Clone, C: Clone, L, S> Layer<S> for HedgeLayer<P, C, L> {
    type Service = Hedge<S, P, C, L>;

    fn layer(&self, service: S) -> Hedge<S, P, C, L> {
        Hedge::build(
            service,
            self.policy.clone(),
            self.classify.clone(),
            self.settings.clone(),
        )
    }
}
