#![doc = include_str!("crate.md")]
#![cfg_attr(feature = "full", doc = include_str!("guide/links.md"))]

pub mod builder;
#[cfg(feature = "util")]
pub mod ext;
#[cfg(all(feature = "full", any(doc, doctest)))]
pub mod guide;
pub mod layer;

#[cfg(feature = "balance")]
pub mod balance {
    //! Load balancing: picks one of many endpoints for each request.
    //!
    //! [`p2c::Balance`] is the balancer; [`p2c::MakeBalance`] creates one for each discovered set of endpoints. Do not
    //! balance requests to an address that is already that of a load balancer, or over connections to a single process.
    //!
    //! # Example
    //!
    //! ```
    //! # #[cfg(feature = "buffer")]
    //! # #[tokio::main(flavor = "current_thread")]
    //! # async fn main() -> Result<(), tower::BoxError> {
    //! use tower::{ServiceBuilder, ServiceExt, service_fn};
    //! use tower::{balance::p2c::Balance, discover::ServiceList};
    //! use tower::load::{CompleteOnResponse, PendingRequests};
    //!
    //! let endpoints = ["a", "b", "c"].map(|name| {
    //!     let endpoint = service_fn(move |n: u32| async move { Ok::<_, std::io::Error>(format!("{n} by {name}")) });
    //!     PendingRequests::new(endpoint, CompleteOnResponse::default())
    //! });
    //! // The buffer lets many tasks share the balancer, and drives it while there are no requests.
    //! let service = ServiceBuilder::new()
    //!     .buffer(64)
    //!     .service(Balance::new(ServiceList::new::<u32>(endpoints)));
    //! assert!(service.oneshot(7).await?.starts_with("7 by "));
    //! # Ok(())
    //! # }
    //! # #[cfg(not(feature = "buffer"))]
    //! # fn main() {}
    //! ```

    #[doc(inline)]
    pub use tower_balance::{Balance, Event, error, p2c, picker, policy, subset};

    #[cfg(feature = "health")]
    #[doc(no_inline)]
    pub use tower_health as health;

    #[cfg(feature = "http")]
    #[doc(inline)]
    pub use tower_balance::http;
}

#[cfg(feature = "breaker")]
#[doc = include_str!("modules/breaker.md")]
#[doc(inline)]
pub use tower_breaker as breaker;

#[cfg(feature = "buffer")]
#[doc = include_str!("modules/buffer.md")]
#[doc(inline)]
pub use tower_buffer as buffer;

#[cfg(feature = "cache")]
#[doc = include_str!("modules/cache.md")]
#[doc(inline)]
pub use tower_cache as cache;

#[cfg(feature = "classify")]
pub mod classify;

#[cfg(feature = "discover")]
#[doc = include_str!("modules/discover.md")]
#[doc(inline)]
pub use tower_discover as discover;

#[cfg(feature = "executor")]
#[doc = include_str!("modules/executor.md")]
#[doc(inline)]
pub use tower_executor as executor;

#[cfg(feature = "fallback")]
#[doc = include_str!("modules/fallback.md")]
#[doc(inline)]
pub use tower_fallback as fallback;

#[cfg(feature = "fault")]
#[doc = include_str!("modules/fault.md")]
#[doc(inline)]
pub use tower_fault as fault;

#[cfg(feature = "filter")]
#[doc = include_str!("modules/filter.md")]
#[doc(inline)]
pub use tower_util::filter;

#[cfg(feature = "health")]
#[doc = include_str!("modules/health.md")]
#[doc(inline)]
pub use tower_health as health;

#[cfg(feature = "hedge")]
#[doc = include_str!("modules/hedge.md")]
#[doc(inline)]
pub use tower_hedge as hedge;

#[cfg(feature = "limit")]
pub mod limit {
    //! Limits on the number of requests in flight, and per period.
    //!
    //! A limit is an estimate of the service's capacity, and wrong when the capacity changes: measure before you set it.
    //! A `..Layer` creates a separate limit for each service that it wraps; a `Global..Layer` has one limit for all of them. Use
    //! the global layers in a server that applies layers once per connection, as axum does with those of a `Router`:
    //! otherwise each connection has its own limit.
    //!
    //! The limits make callers wait. With `shed()` or `max_wait(...)` they [`refuse`] requests, with an error that says
    //! which limit it was and when to come back. The limits in [`keyed`] are per client, or whatever a request is of, and refuse
    //! at once. Those in `adaptive`, behind the feature of that name, measure what the service can do.
    //!
    //! # Example
    //!
    //! ```
    //! # #[cfg(all(feature = "load-shed", feature = "util"))]
    //! # #[tokio::main(flavor = "current_thread")]
    //! # async fn main() {
    //! use tower::{Service, ServiceBuilder, ServiceExt, load_shed::error::Overloaded};
    //!
    //! let mut service = ServiceBuilder::new()
    //!     .load_shed() // rejects requests that would have to wait
    //!     .concurrency_limit(1)
    //!     .service_fn(|()| std::future::pending::<Result<(), std::io::Error>>());
    //! let _in_flight = service.ready().await.unwrap().call(());
    //! let error = service.clone().oneshot(()).await.unwrap_err();
    //! assert!(error.is::<Overloaded>());
    //! # }
    //! # #[cfg(not(all(feature = "load-shed", feature = "util")))]
    //! # fn main() {}
    //! ```

    #[doc(inline)]
    pub use tower_limit::{
        ConcurrencyLimit, ConcurrencyLimitLayer, Event, GlobalConcurrencyLimitLayer,
        GlobalRateLimitLayer, HoldPermit, RateLimit, RateLimitLayer, concurrency, error, keyed,
        rate, refuse, weighted,
    };

    #[cfg(feature = "http")]
    #[doc(inline)]
    pub use tower_limit::http;

    #[cfg(feature = "adaptive")]
    #[doc = include_str!("modules/adaptive.md")]
    #[doc(inline)]
    pub use tower_limit::adaptive;
}

#[cfg(feature = "load")]
#[doc = include_str!("modules/load.md")]
#[doc(inline)]
pub use tower_load as load;

#[cfg(feature = "load-shed")]
#[doc = include_str!("modules/load_shed.md")]
#[doc(inline)]
pub use tower_limit::load_shed;

#[cfg(feature = "make")]
#[doc = include_str!("modules/make.md")]
#[doc(inline)]
pub use tower_util::make;

#[cfg(feature = "middleware")]
#[doc = include_str!("modules/middleware.md")]
#[doc(inline)]
pub use tower_util::middleware;

pub mod observe;

#[cfg(feature = "ready-cache")]
#[doc = include_str!("modules/ready_cache.md")]
#[doc(inline)]
pub use tower_balance::ready_cache;

#[cfg(feature = "reconnect")]
#[doc = include_str!("modules/reconnect.md")]
#[doc(inline)]
pub use tower_util::reconnect;

#[cfg(feature = "retry")]
#[doc = include_str!("modules/retry.md")]
#[doc(inline)]
pub use tower_retry as retry;

#[cfg(feature = "spawn-ready")]
#[doc = include_str!("modules/spawn_ready.md")]
#[doc(inline)]
pub use tower_util::spawn_ready;

#[cfg(feature = "steer")]
#[doc = include_str!("modules/steer.md")]
#[doc(inline)]
pub use tower_util::steer;

#[cfg(feature = "timeout")]
#[doc = include_str!("modules/timeout.md")]
#[doc(inline)]
pub use tower_timeout as timeout;

#[cfg(feature = "util")]
#[doc = include_str!("modules/util.md")]
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

/// The error of a layer that can fail itself: the box holds either that layer's typed error or the inner service's error.
/// Find out which with [`downcast_ref`](std::error::Error#method.downcast_ref).
///
/// If a stack with such an error is built in a spawned `async` block, the compiler may report that an implementation "is not
/// general enough": see [`ServiceBuilder`](crate::ServiceBuilder#reading-a-compile-error).
#[doc(inline)]
pub use tower_readiness::BoxError;
