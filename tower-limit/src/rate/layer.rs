use std::time::Duration;

use tower_layer::Layer;

use super::shared::Share;
use super::{Rate, RateLimit};

/// Wraps services in [`RateLimit`], each with a limit of its own.
///
/// Where a layer is applied for each connection, as axum does with the layers of a `Router`, that is a limit per connection.
/// For one limit for all there is [`GlobalRateLimitLayer`].
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

/// Wraps services in [`RateLimit`], all with one limit together.
///
/// axum applies the layers of a `Router` anew for each connection: there a limit for all clients takes this one.
#[derive(Debug)]
pub struct GlobalRateLimitLayer {
    share: Share,
}

impl GlobalRateLimitLayer {
    /// At most `num` requests per `per` to all services together.
    ///
    /// # Panics
    ///
    /// If either is zero.
    pub fn new(num: u64, per: Duration) -> Self {
        Self {
            share: Share::new(Rate::new(num, per)),
        }
    }
}

impl<S> Layer<S> for GlobalRateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, service: S) -> RateLimit<S> {
        RateLimit::with_share(service, self.share.again())
    }
}

impl Clone for GlobalRateLimitLayer {
    fn clone(&self) -> Self {
        Self {
            share: self.share.again(),
        }
    }
}
