#![doc = include_str!("../README.md")]

pub mod builder;
pub mod layer;

#[cfg(feature = "balance")]
pub mod balance {
    //! Load balancing: which of many endpoints answers a request.
    //!
    //! [`p2c::Balance`] is the balancer; [`p2c::MakeBalance`] makes one from each discovered set of endpoints.

    #[doc(inline)]
    pub use tower_balance::{error, p2c};
}

#[cfg(feature = "buffer")]
#[doc(inline)]
pub use tower_buffer as buffer;

#[cfg(feature = "discover")]
#[doc(inline)]
pub use tower_discover as discover;

#[cfg(feature = "filter")]
#[doc(inline)]
pub use tower_util::filter;

#[cfg(feature = "hedge")]
#[doc(inline)]
pub use tower_hedge as hedge;

/// Limits: how many requests at a time, and how many in a period.
#[cfg(feature = "limit")]
pub mod limit {
    #[doc(inline)]
    pub use tower_limit::{
        ConcurrencyLimit, ConcurrencyLimitLayer, GlobalConcurrencyLimitLayer, GlobalRateLimitLayer,
        RateLimit, RateLimitLayer, concurrency, rate,
    };
}

#[cfg(feature = "load")]
#[doc(inline)]
pub use tower_load as load;

#[cfg(feature = "load-shed")]
#[doc(inline)]
pub use tower_limit::load_shed;

#[cfg(feature = "make")]
#[doc(inline)]
pub use tower_util::make;

#[cfg(feature = "ready-cache")]
#[doc(inline)]
pub use tower_balance::ready_cache;

#[cfg(feature = "reconnect")]
#[doc(inline)]
pub use tower_util::reconnect;

#[cfg(feature = "retry")]
#[doc(inline)]
pub use tower_retry as retry;

#[cfg(feature = "spawn-ready")]
#[doc(inline)]
pub use tower_util::spawn_ready;

#[cfg(feature = "steer")]
#[doc(inline)]
pub use tower_util::steer;

#[cfg(feature = "timeout")]
#[doc(inline)]
pub use tower_timeout as timeout;

#[cfg(feature = "util")]
#[doc(inline)]
pub use tower_util as util;

#[doc(inline)]
pub use crate::builder::ServiceBuilder;

#[cfg(feature = "make")]
#[doc(inline)]
pub use crate::make::MakeService;

#[cfg(feature = "util")]
#[doc(inline)]
pub use crate::util::{ServiceExt, service_fn};

#[doc(inline)]
pub use tower_layer::Layer;

#[doc(inline)]
pub use tower_service::Service;

/// The error of a layer that may fail in a way of its own: the box holds either that layer's typed error or the inner
/// service's. Look inside with [`downcast_ref`](std::error::Error#method.downcast_ref).
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
