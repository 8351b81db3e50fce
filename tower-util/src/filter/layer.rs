use tower_layer::Layer;

use super::{AsyncFilter, Filter};

/// Wraps services in [`Filter`].
#[derive(Debug, Clone)]
pub struct FilterLayer<U> {
    predicate: U,
}

impl<U> FilterLayer<U> {
    /// Passes each request to `predicate`.
    pub const fn new(predicate: U) -> Self {
        Self { predicate }
    }
}

impl<U: Clone, S> Layer<S> for FilterLayer<U> {
    type Service = Filter<S, U>;

    fn layer(&self, inner: S) -> Filter<S, U> {
        Filter::new(inner, self.predicate.clone())
    }
}

/// Wraps services in [`AsyncFilter`].
#[derive(Debug, Clone)]
pub struct AsyncFilterLayer<U> {
    predicate: U,
}

impl<U> AsyncFilterLayer<U> {
    /// Passes each request to `predicate`.
    pub const fn new(predicate: U) -> Self {
        Self { predicate }
    }
}

impl<U: Clone, S> Layer<S> for AsyncFilterLayer<U> {
    type Service = AsyncFilter<S, U>;

    fn layer(&self, inner: S) -> AsyncFilter<S, U> {
        AsyncFilter::new(inner, self.predicate.clone())
    }
}
