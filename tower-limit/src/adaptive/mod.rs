//! Middleware that limits the requests in flight to what the service can do, which it learns from their latencies.
//!
//! A service does so many requests per second, and no more. If more of them are in flight than it needs for that, each takes longer,
//! and none more is done. An [`AdaptiveConcurrencyLimit`] measures how long the requests take. A [`Limit`] decides from that how many may
//! be in flight; there are four:
//!
//! | policy | compares a latency with | use it |
//! |---|---|---|
//! | [`Gradient`] (Envoy) | that at a very low limit, which it measures each minute | for most services |
//! | [`Vegas`] (Netflix) | the lowest since the last probe | where the limit must not fall for a measurement; [`Windowed`] if requests differ |
//! | [`Gradient2`] (Netflix) | the average of the last 600 | if latency changes by itself, with a ceiling that the service survives |
//! | [`Aimd`] | a timeout | if the service refuses what it cannot do, or the latency that is too long is known |
//!
//! The simulator (`benches/simulator`, "Overload") compares them under three times the load that a server can take. `Gradient` keeps
//! 99 % of the goodput at less than twice the latency, whether the requests are alike or not; each of the others fails in one of
//! these cases.
//!
//! Further requests wait, first come, first served. With [`shed`](AdaptiveConcurrencyLimitLayer::shed) they are
//! [refused](crate::refuse) at once: use it unless the callers are few, since a queue in front of a limit has no limit.
//!
//! Use it in front of a service whose capacity is unknown, or changes: with the machine, the release, its own dependencies. If
//! the capacity is known, a [`ConcurrencyLimit`](crate::ConcurrencyLimit) is simpler. It knows nothing of requests that differ:
//! do not put requests that take a second behind the same limit as those that take a millisecond.
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use std::{convert::Infallible, sync::Arc, time::Duration};
//! use tokio::{sync::Semaphore, time::sleep};
//! use tower_layer::Layer;
//! use tower_limit::adaptive::{AdaptiveConcurrencyLimitLayer, Gradient, GradientConfig};
//! use tower_limit::error::LimitExceeded;
//! use tower_util::{ServiceExt, service_fn};
//!
//! // It does 8 requests at a time, each in 10 ms, and queues the others.
//! let cores = Arc::new(Semaphore::new(8));
//! let server = service_fn(move |()| {
//!     let cores = Arc::clone(&cores);
//!     async move {
//!         let _core = cores.acquire().await;
//!         sleep(Duration::from_millis(10)).await;
//!         Ok::<_, Infallible>(())
//!     }
//! });
//!
//! let policy = Gradient::try_new(GradientConfig::default().limits(3..=1000)).unwrap();
//! let layer = AdaptiveConcurrencyLimitLayer::new(policy);
//! let limit = layer.handle();
//! let service = layer.shed().layer(server);
//!
//! // 100 callers, who all come back after 10 ms.
//! let callers: Vec<_> = (0..100)
//!     .map(|_| {
//!         let service = service.clone();
//!         tokio::spawn(async move {
//!             let mut refused = 0;
//!             for _ in 0..200 {
//!                 match service.clone().oneshot(()).await {
//!                     Ok(()) => {}
//!                     Err(error) if error.is::<LimitExceeded>() => refused += 1,
//!                     Err(error) => panic!("{error}"),
//!                 }
//!                 sleep(Duration::from_millis(10)).await;
//!             }
//!             refused
//!         })
//!     })
//!     .collect();
//! let mut refused = 0;
//! for caller in callers {
//!     refused += caller.await.unwrap();
//! }
//! assert!(refused > 0);
//! assert!((8..30).contains(&limit.limit()), "{limit:?}");
//! # }
//! ```
//!
//! # Which requests count
//!
//! The latency of a request is the time from `call` to the response, or to its head if that has a body. A result counts by its
//! [`Class`](tower_classify::Class):
//!
//! | result | the policy |
//! |---|---|
//! | `Success` | learns its latency |
//! | `Failure` that is `Overloaded`, `Unavailable` or a `Timeout` | learns of a drop |
//! | other failures, `Unsent`, `Ignored` | does not learn of it: they may be faster than the service |
//! | cancelled after more than the average latency plus four times its mean deviation | learns of a drop |
//! | cancelled before | does not learn of it |
//!
//! By default every error is a failure of unknown kind, and so does not count. Set a classification, such as
//! [`ErrorChain`](tower_classify::ErrorChain), in [`classify`](AdaptiveConcurrencyLimitLayer::classify). Without one, a service
//! whose requests all time out in a layer below looks idle; put the timeout above the limit, where it cancels.
//!
//! # Readiness
//!
//! As for a [`ConcurrencyLimit`](crate::concurrency#readiness): `poll_ready` takes a permit, then polls the inner service. A
//! handle that waits is woken when a permit is returned, or when the limit rises. A limit that falls takes no permit back: it
//! falls as requests end.
//!
//! # Cancellation
//!
//! The permit is returned as soon as the response is ready, or when the response future is dropped. With the feature `http`,
//! `hold_until_body_end` keeps it until the body of the response has ended.
//!
//! # Errors
//!
//! Those of the inner service. With `shed` and `max_wait`, a [`BoxError`](crate::BoxError) with either a
//! [`LimitExceeded`](crate::error::LimitExceeded) or the inner service's error.
//!
//! # Clone
//!
//! Clones, and all services of the layer and its clones, share the limit, its policy and its observer.
//!
//! # Cost
//!
//! That of a `ConcurrencyLimit`, and per request two clock readings, two atomic operations on a reference count, and a short lock
//! in which the policy runs. The clock readings take most of the time: 70 of 100 ns where one takes 35 ns. Nothing is allocated
//! unless callers have to wait.

mod control;
pub mod future;
mod layer;
mod patience;
mod policy;
mod service;

#[doc(inline)]
pub use tower_util::InvalidPolicy;

pub use self::control::Handle;
pub use self::layer::AdaptiveConcurrencyLimitLayer;
pub use self::policy::{
    Aimd, AimdConfig, Gradient, Gradient2, Gradient2Config, GradientConfig, Limit, Vegas,
    VegasConfig, Windowed,
};
pub use self::service::AdaptiveConcurrencyLimit;

/// The highest limit, which fits into the word that counts the permits.
const MAX_LIMIT: usize = 1 << 30;
