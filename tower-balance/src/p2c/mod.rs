//! Power of two choices: sends each request to the less loaded of two endpoints drawn at random.
//!
//! Two choices instead of one make the maximum load exponentially smaller; two instead of all keep many balancers from
//! sending their requests to the same endpoint (M. Mitzenmacher, [The Power of Two Choices in Randomized Load
//! Balancing](https://www.eecs.harvard.edu/~michaelm/postscripts/handbook2001.pdf)). The load is a metric of the
//! endpoints: see [`Load`](tower_load::Load).
//!
//! Do not use it if a request belongs to a certain endpoint, for example the one with its cache. If endpoints differ
//! much in capacity, choose a load that reflects it, such as [`PeakEwma`](tower_load::PeakEwma).
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use std::convert::Infallible;
//! use tower_balance::p2c::Balance;
//! use tower_discover::ServiceList;
//! use tower_load::Constant;
//! use tower_util::{ServiceExt, service_fn};
//! use tower_service::Service;
//!
//! // With two endpoints, both are drawn, and the less loaded one gets the request.
//! let endpoints = [("idle", 1), ("busy", 9)].map(|(name, load)| {
//!     Constant::new(service_fn(move |()| async move { Ok::<_, Infallible>(name) }), load)
//! });
//! let mut balance = Balance::new(ServiceList::new::<()>(endpoints));
//! for _ in 0..10 {
//!     assert_eq!(balance.ready().await.unwrap().call(()).await.unwrap(), "idle");
//! }
//! # }
//! ```
//!
//! # Readiness
//!
//! Ready when an endpoint is ready. Each poll applies the changes of discovery, polls all endpoints that were woken,
//! picks an endpoint, and polls it once more. If the picker chooses by request, the last two happen in `call`. While
//! there are no endpoints, it waits for discovery.
//!
//! # Errors
//!
//! A [`BoxError`](crate::BoxError). From `poll_ready`, after which the balancer must not be used again:
//!
//! - [`error::NoEndpoints`](crate::error::NoEndpoints) when there are no endpoints and discovery has ended; or
//!   [`error::Discover`](crate::error::Discover), if the last result of discovery was an error.
//!
//! From a request:
//!
//! - the endpoint's error;
//! - [`error::Discover`](crate::error::Discover) while there are no endpoints and the last result of discovery was an
//!   error. So the first lookup of a name may fail without closing a buffer above the balancer.
//! - the error of [`reject_if`](Balance::reject_if), if that is set, while no endpoint is ready.
//!
//! After an error of discovery, the balancer keeps its endpoints and continues to poll discovery; each error is a
//! `tracing` event at level `WARN` and an [`Event`](crate::Event::DiscoveryFailed). They are at least a second apart:
//! an earlier second error is delayed, and discovery is not polled meanwhile. This needs a tokio runtime with timers.
//!
//! An endpoint whose readiness fails is dropped, with a `tracing` event at level `WARN` and an
//! [`Event`](crate::Event::EndpointFailed), and is only used again if discovery inserts it again. To avoid this, put a
//! `Reconnect` with a backoff below, whose readiness does not fail.
//!
//! # What a failing endpoint draws
//!
//! An endpoint that fails each request immediately never looks busy. With requests in flight as the load, it gets up to
//! twice its share while the others are busy; with [`PeakEwma`](tower_load::PeakEwma) it gets less than 0.5 %, as
//! probes for its recovery. The [pickers](crate::picker#what-a-failing-endpoint-draws) differ; ejection by its
//! health (`tower-health`) works with all of them.
//!
//! # Edge cases
//!
//! | case | behaviour |
//! |---|---|
//! | there are no endpoints, or none is ready | the balancer is not ready, and is woken when an endpoint is; `FailFast` above a buffer bounds the wait |
//! | all endpoints are ejected | all are used, unless the panic threshold of their `Health` is 0: then requests wait, or fail immediately if it is set to fail closed |
//! | a key is inserted twice | the old endpoint is used until the new one is ready |
//! | an endpoint is removed after it was picked | another one is picked; requests in flight continue, and idle connections are closed |
//! | discovery fails | the endpoints are kept, and discovery is polled again; without endpoints, requests fail with its error |
//! | discovery has ended | the endpoints are kept; without any, `poll_ready` fails |
//! | all weights are 0 | all are treated as equal; otherwise an endpoint of weight 0 receives no requests |
//! | weights up to `u32::MAX` | are valid; endpoints that do not fit on a ring are left out, with a warning |
//! | loads are not comparable, such as a NaN | the endpoint that was drawn first is picked |
//! | the clock stands still, or jumps | estimates do not age, or age at once; no endpoint is ejected or returns before its time |
//!
//! # Cost
//!
//! Per request: two random numbers, two loads, and a poll of the chosen endpoint, whether there are three endpoints or
//! ten thousand. Nothing is allocated.

mod builder;
mod future;
mod layer;
mod make;
mod service;

pub use self::builder::Builder;
pub use self::future::ResponseFuture;
pub use self::layer::MakeBalanceLayer;
pub use self::make::{MakeBalance, MakeFuture};
pub use self::service::Balance;
