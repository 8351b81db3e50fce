use std::sync::Arc;

use tokio::sync::Semaphore;
use tower_layer::Layer;

use super::ConcurrencyLimit;
use super::permits::Permits;
use super::pool::SharedSource;
use crate::refuse::refusing_layer;

/// Wraps services in [`ConcurrencyLimit`], each with a limit of its own.
///
/// If the layer is applied for each connection, as axum applies the layers of a `Router`, each connection has its own limit.
/// Use [`GlobalConcurrencyLimitLayer`] for a single limit.
#[derive(Debug, Clone)]
pub struct ConcurrencyLimitLayer {
    max: usize,
}

impl ConcurrencyLimitLayer {
    /// Creates a layer that limits each service, together with its clones, to `max` in-flight requests.
    pub const fn new(max: usize) -> Self {
        Self { max }
    }
}

refusing_layer!(ConcurrencyLimitLayer);
#[cfg(feature = "http")]
crate::http::holding_layer!(ConcurrencyLimitLayer);

impl<S> Layer<S> for ConcurrencyLimitLayer {
    type Service = ConcurrencyLimit<S>;

    fn layer(&self, service: S) -> ConcurrencyLimit<S> {
        ConcurrencyLimit::new(service, self.max)
    }
}

/// Wraps services in [`ConcurrencyLimit`] that all share one limit.
///
/// axum applies the layers of a `Router` for each connection: use this layer there to limit all clients together.
#[derive(Debug, Clone)]
pub struct GlobalConcurrencyLimitLayer {
    permits: Permits,
}

impl GlobalConcurrencyLimitLayer {
    /// Creates a layer that limits all services together to `max` in-flight requests.
    pub fn new(max: usize) -> Self {
        Self {
            permits: Permits::new(max),
        }
    }

    /// Creates a layer whose services take a permit of `semaphore` for each request.
    pub const fn with_semaphore(semaphore: Arc<Semaphore>) -> Self {
        Self {
            permits: Permits::From(SharedSource::new(semaphore)),
        }
    }
}

refusing_layer!(GlobalConcurrencyLimitLayer);
#[cfg(feature = "http")]
crate::http::holding_layer!(GlobalConcurrencyLimitLayer);

impl<S> Layer<S> for GlobalConcurrencyLimitLayer {
    type Service = ConcurrencyLimit<S>;

    fn layer(&self, service: S) -> ConcurrencyLimit<S> {
        ConcurrencyLimit::with_permits(service, &self.permits)
    }
}
