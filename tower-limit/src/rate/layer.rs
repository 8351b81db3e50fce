use std::time::Duration;

use tower_layer::Layer;

use super::shared::LimitHandle;
use super::{Rate, RateLimit, TokenBucket};
use crate::refuse::refusing_layer;

/// Wraps services in [`RateLimit`], each with a limit of its own.
///
/// If the layer is applied for each connection, as axum applies the layers of a `Router`, each connection has its own limit.
/// Use [`GlobalRateLimitLayer`] for a single limit.
#[derive(Debug, Clone)]
pub struct RateLimitLayer {
    policy: Policy,
}

#[derive(Debug, Clone, Copy)]
enum Policy {
    Window(Rate),
    Bucket(TokenBucket),
}

impl Policy {
    fn limit(self) -> LimitHandle {
        match self {
            Self::Window(rate) => LimitHandle::new(rate),
            Self::Bucket(bucket) => LimitHandle::token_bucket(bucket),
        }
    }
}

impl RateLimitLayer {
    /// Creates a layer that limits each service, together with its clones, to `num` requests in any period of length `per`.
    ///
    /// # Panics
    ///
    /// If `num` or `per` is zero.
    pub const fn new(num: u64, per: Duration) -> Self {
        Self {
            policy: Policy::Window(Rate::new(num, per)),
        }
    }

    /// Creates a layer that limits each service, together with its clones, to the tokens of `bucket`.
    pub const fn token_bucket(bucket: TokenBucket) -> Self {
        Self {
            policy: Policy::Bucket(bucket),
        }
    }
}

refusing_layer!(RateLimitLayer);

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, service: S) -> RateLimit<S> {
        RateLimit::with_limit(service, self.policy.limit())
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
            limit: Policy::Window(Rate::new(num, per)).limit(),
        }
    }

    /// Creates a layer that limits all services together to the tokens of `bucket`.
    pub fn token_bucket(bucket: TokenBucket) -> Self {
        Self {
            limit: Policy::Bucket(bucket).limit(),
        }
    }
}

refusing_layer!(GlobalRateLimitLayer);

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
