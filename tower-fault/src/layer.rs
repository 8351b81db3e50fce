use std::fmt;

use tower_layer::Layer;
use tower_readiness::Observer;
use tower_util::rng::SharedSplitMix;

use crate::{AlwaysInjected, BoxError, Event, InjectFault, Plan, Switch};

/// Wraps services in [`InjectFault`].
#[derive(Clone)]
pub struct FaultLayer<F = AlwaysInjected> {
    plan: Plan,
    error: F,
    rng: SharedSplitMix,
    switch: Switch,
    observer: Observer<Event>,
}

impl FaultLayer {
    /// Creates a layer that injects the faults of `plan`, with a random seed, and switched on.
    pub fn new(plan: Plan) -> Self {
        Self {
            plan,
            error: AlwaysInjected,
            rng: SharedSplitMix::new(),
            switch: Switch::on(),
            observer: Observer::none(),
        }
    }
}

impl<F> FaultLayer<F> {
    /// Fails requests with the error that `error` returns. By default, with [`Injected`](crate::error::Injected).
    pub fn error<Req, G>(self, error: G) -> FaultLayer<G>
    where
        G: Fn(&Req) -> BoxError,
    {
        FaultLayer {
            plan: self.plan,
            error,
            rng: self.rng,
            switch: self.switch,
            observer: self.observer,
        }
    }

    /// Sets the seed: with the same seed, the same requests in the same order have the same faults. By default, it is random.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.rng = SharedSplitMix::with_seed(seed);
        self
    }

    /// Sets the switch by which to switch the faults off and on. By default, they are on.
    #[must_use]
    pub fn switch(mut self, switch: Switch) -> Self {
        self.switch = switch;
        self
    }

    /// Calls `observe` for each injected fault.
    #[must_use]
    pub fn on_event(mut self, observe: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.observer = Observer::new(observe);
        self
    }
}

impl<F: Clone, S> Layer<S> for FaultLayer<F> {
    type Service = InjectFault<S, F>;

    fn layer(&self, service: S) -> Self::Service {
        InjectFault::build(
            service,
            self.plan.clone(),
            self.error.clone(),
            self.rng.clone(),
            self.switch.clone(),
            self.observer.clone(),
        )
    }
}

impl<F> fmt::Debug for FaultLayer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultLayer")
            .field("plan", &self.plan)
            .field("switch", &self.switch)
            .finish_non_exhaustive()
    }
}
