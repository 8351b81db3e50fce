use std::sync::Arc;

use tokio::sync::Semaphore;
use tower_layer::Layer;

use super::ConcurrencyLimit;
use super::permits::Permits;

/// Wraps services in [`ConcurrencyLimit`], each with a limit of its own.
///
/// Where a layer is applied for each connection, as axum does with the layers of a `Router`, that is a limit per connection.
/// For one limit for all there is [`GlobalConcurrencyLimitLayer`].
#[derive(Debug, Clone)]
pub struct ConcurrencyLimitLayer {
    max: usize,
}

impl ConcurrencyLimitLayer {
    /// At most `max` requests to each service and its clones.
    pub const fn new(max: usize) -> Self {
        Self { max }
    }
}

impl<S> Layer<S> for ConcurrencyLimitLayer {
    type Service = ConcurrencyLimit<S>;

    fn layer(&self, service: S) -> ConcurrencyLimit<S> {
        ConcurrencyLimit::new(service, self.max)
    }
}

/// Wraps services in [`ConcurrencyLimit`], all with one limit together.
///
/// axum applies the layers of a `Router` anew for each connection: there a limit for all clients takes this one.
#[derive(Debug, Clone)]
pub struct GlobalConcurrencyLimitLayer {
    permits: Permits,
}

impl GlobalConcurrencyLimitLayer {
    /// At most `max` requests to all services together.
    pub fn new(max: usize) -> Self {
        Self {
            permits: Permits::new(max),
        }
    }

    /// Each request to any of the services takes a permit of `semaphore`.
    pub const fn with_semaphore(semaphore: Arc<Semaphore>) -> Self {
        Self {
            permits: Permits::Tokio(semaphore),
        }
    }
}

impl<S> Layer<S> for GlobalConcurrencyLimitLayer {
    type Service = ConcurrencyLimit<S>;

    fn layer(&self, service: S) -> ConcurrencyLimit<S> {
        ConcurrencyLimit::with_permits(service, &self.permits)
    }
}
