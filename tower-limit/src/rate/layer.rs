use std::time::Duration;

use tower_layer::Layer;

use super::shared::LimitHandle;
use super::{Rate, RateLimit};

/// Wraps services in [`RateLimit`], each with a limit of its own.
///
/// If the layer is applied for each connection, as axum applies the layers of a `Router`, each connection has its own limit.
/// Use [`GlobalRateLimitLayer`] for a single limit.
#[derive(Debug, Clone)]
pub struct RateLimitLayer {
    rate: Rate,
}

impl RateLimitLayer {
    /// Creates a layer that limits each service, together with its clones, to `num` requests in any period of length `per`.
    ///
    /// # Panics
    ///
    /// If `num` or `per` is zero.
    pub const fn new(num: u64, per: Duration) -> Self {
        Self {
            rate: Rate::new(num, per),
        }
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, service: S) -> RateLimit<S> {
        RateLimit::new(service, self.rate)
    }
}

/// Wraps services in [`RateLimit`] that all share one limit.
///
/// axum applies the layers of a `Router` for each connection: use this layer there to limit all clients together.
#[derive(Debug)]
pub struct GlobalRateLimitLayer {
    limit: LimitHandle,
}

impl GlobalRateLimitLayer {
    /// Creates a layer that limits all services together to `num` requests in any period of length `per`.
    ///
    /// # Panics
    ///
    /// If `num` or `per` is zero.
    pub fn new(num: u64, per: Duration) -> Self {
        Self {
            limit: LimitHandle::new(Rate::new(num, per)),
        }
    }
}

impl<S> Layer<S> for GlobalRateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, service: S) -> RateLimit<S> {
        RateLimit::with_limit(service, self.limit.for_clone())
    }
}

impl Clone for GlobalRateLimitLayer {
    fn clone(&self) -> Self {
        Self {
            limit: self.limit.for_clone(),
        }
    }
}
