use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tower_classify::ErrorIsFailure;
use tower_layer::Layer;
use tower_readiness::Observer;

use super::AdaptiveConcurrencyLimit;
use super::control::{Control, Handle};
use super::policy::Limit;
use crate::Event;
use crate::refuse::RefuseLayer;

/// Wraps services in [`AdaptiveConcurrencyLimit`]. They all share one limit.
pub struct AdaptiveConcurrencyLimitLayer<L, C = ErrorIsFailure> {
    control: Arc<Control<L>>,
    classify: C,
}

impl<L: Limit> AdaptiveConcurrencyLimitLayer<L> {
    /// Creates a layer whose limit is decided by `policy`.
    pub fn new(policy: L) -> Self {
        Self {
            control: Arc::new(Control::new(policy)),
            classify: ErrorIsFailure,
        }
    }
}

impl<L, C> AdaptiveConcurrencyLimitLayer<L, C> {
    /// Sets the classification of results, which finds the failures that mean overload. By default no error does.
    #[must_use]
    pub fn classify<D>(self, classify: D) -> AdaptiveConcurrencyLimitLayer<L, D> {
        AdaptiveConcurrencyLimitLayer {
            control: self.control,
            classify,
        }
    }

    /// Calls `observe` for each change of the limit. If it is called before [`shed`](Self::shed) or
    /// [`max_wait`](Self::max_wait), also for each refused request.
    #[must_use]
    pub fn on_event(self, observe: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.control.set_observer(Observer::new(observe));
        self
    }

    /// Returns a handle that shows the limit.
    pub fn handle(&self) -> Handle<L> {
        Handle::new(Arc::clone(&self.control))
    }

    /// Refuses requests that would have to wait, with a [`LimitExceeded`](crate::error::LimitExceeded): see
    /// [`refuse`](crate::refuse). By default they wait.
    pub fn shed(self) -> RefuseLayer<Self> {
        let observer = self.control.observer();
        RefuseLayer::new(self, None).observed_by(observer)
    }

    /// Refuses requests that have waited for `max`, with a [`LimitExceeded`](crate::error::LimitExceeded): see
    /// [`refuse`](crate::refuse). By default they wait as long as it takes.
    pub fn max_wait(self, max: Duration) -> RefuseLayer<Self> {
        let observer = self.control.observer();
        RefuseLayer::new(self, Some(max)).observed_by(observer)
    }
}

#[cfg(feature = "http")]
crate::http::holding_layer!(AdaptiveConcurrencyLimitLayer<L, C>);

impl<S, L, C: Clone> Layer<S> for AdaptiveConcurrencyLimitLayer<L, C> {
    type Service = AdaptiveConcurrencyLimit<S, L, C>;

    fn layer(&self, service: S) -> AdaptiveConcurrencyLimit<S, L, C> {
        let control = Arc::clone(&self.control);
        AdaptiveConcurrencyLimit::new(service, self.classify.clone(), control)
    }
}

impl<L, C: Clone> Clone for AdaptiveConcurrencyLimitLayer<L, C> {
    fn clone(&self) -> Self {
        Self {
            control: Arc::clone(&self.control),
            classify: self.classify.clone(),
        }
    }
}

impl<L, C> fmt::Debug for AdaptiveConcurrencyLimitLayer<L, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdaptiveConcurrencyLimitLayer")
            .field("limit", &self.handle())
            .finish_non_exhaustive()
    }
}
