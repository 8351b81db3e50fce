use std::fmt;

use tower_layer::Layer;
use tower_readiness::Observer;

use super::{KeyLimit, KeyedLimit};
use crate::Event;

/// Wraps services in [`KeyedLimit`]. They all share the limit.
#[derive(Clone)]
pub struct KeyedLimitLayer<F, L> {
    key: F,
    limit: L,
    observer: Observer<Event>,
}

impl<F, L: KeyLimit> KeyedLimitLayer<F, L> {
    /// Creates a layer that applies `limit` to the key of each request.
    pub const fn new<Req>(limit: L, key: F) -> Self
    where
        F: Fn(&Req) -> L::Key,
    {
        Self {
            key,
            limit,
            observer: Observer::none(),
        }
    }
}

impl<F, L> KeyedLimitLayer<F, L> {
    /// Calls `observe` for each refused request, and for each key that is forgotten too early.
    #[must_use]
    pub fn on_event(mut self, observe: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.observer = Observer::new(observe);
        self
    }
}

#[cfg(all(feature = "concurrency", feature = "http"))]
crate::http::holding_layer!(KeyedLimitLayer<F, L>);

impl<F: Clone, L: Clone, S> Layer<S> for KeyedLimitLayer<F, L> {
    type Service = KeyedLimit<S, F, L>;

    fn layer(&self, service: S) -> KeyedLimit<S, F, L> {
        KeyedLimit::build(
            service,
            self.key.clone(),
            self.limit.clone(),
            self.observer.clone(),
        )
    }
}

impl<F, L: fmt::Debug> fmt::Debug for KeyedLimitLayer<F, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedLimitLayer")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
