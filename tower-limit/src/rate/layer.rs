use std::time::Duration;

use tower_layer::Layer;

use super::{Rate, RateLimit};

/// Wraps services in [`RateLimit`], each with a limit of its own.
#[derive(Debug, Clone)]
pub struct RateLimitLayer {
    rate: Rate,
}

impl RateLimitLayer {
    /// At most `num` requests per `per` to each service and its clones.
    ///
    /// # Panics
    ///
    /// If either is zero.
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
