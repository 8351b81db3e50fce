//! Power of two choices: sends each request to the less loaded of two endpoints drawn at random.
//!
//! Two choices instead of one make the maximum load exponentially smaller; two instead of all keep many balancers from
//! sending their requests to the same endpoint (M. Mitzenmacher, [The Power of Two Choices in Randomized Load
//! Balancing](https://www.eecs.harvard.edu/~michaelm/postscripts/handbook2001.pdf)). The load is a metric of the
//! endpoints: see [`Load`](tower_load::Load).
//!
//! Do not use it if a request should go to a specific endpoint, for example the one that has cached the response. If
//! endpoints differ much in capacity, choose a load that reflects it, such as [`PeakEwma`](tower_load::PeakEwma).
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
//! // With two endpoints, both are drawn, and the less loaded one receives the request.
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
//! The balancer is ready when an endpoint is ready. Each poll applies the changes from discovery, polls all endpoints
//! that were woken, picks an endpoint, and polls that one again, which may make a reservation. The next `call` uses the
//! reservation; [releasing](tower_readiness::release) the balancer gives it back. If the picker uses the request, the
//! endpoint is picked and polled again in `call`. While there are no endpoints, the balancer waits for discovery.
//!
//! # Cancellation
//!
//! Dropping the response future drops that of the endpoint.
//!
//! # Errors
//!
//! All errors are [`BoxError`](crate::BoxError)s. `poll_ready` fails with one of these, after which the balancer must
//! not be used again:
//!
//! - [`error::NoEndpoints`](crate::error::NoEndpoints) if there are no endpoints and discovery has ended;
//! - [`error::Discover`](crate::error::Discover) instead, if the last result of discovery was an error.
//!
//! A request fails with one of these:
//!
//! - the error of the endpoint;
//! - [`error::Discover`](crate::error::Discover) while there are no endpoints and the last result of discovery was an
//!   error. As this is not an error of `poll_ready`, a failed first lookup of a name does not close a buffer above the
//!   balancer;
//! - the error from [`reject_if`](Balance::reject_if), if that is set, while no endpoint is ready.
//!
//! After an error of discovery, the balancer keeps its endpoints and continues to poll discovery; each error is a
//! `tracing` event at level `WARN` and an [`Event`](crate::Event::DiscoveryFailed). Errors are at least a second apart:
//! an error that comes earlier is delayed, and discovery is not polled meanwhile. This requires a tokio runtime with
//! timers.
//!
//! An endpoint that fails to become ready is dropped, with a `tracing` event at level `WARN` and an
//! [`Event`](crate::Event::EndpointFailed), and is used again only if discovery inserts it again. To avoid this, wrap
//! the endpoints in a `Reconnect` with a backoff, whose `poll_ready` does not fail.
//!
//! # What a failing endpoint receives
//!
//! An endpoint that fails each request immediately never looks busy. With requests in flight as the load, it receives
//! up to twice its share while the others are busy; with [`PeakEwma`](tower_load::PeakEwma) it receives less than
//! 0.5 %, as probes for its recovery. The [pickers](crate::picker#what-a-failing-endpoint-receives) differ. Ejection by
//! health checks or outlier detection (`tower-health`) works with all of them.
//!
//! # Edge cases
//!
//! | case | behaviour |
//! |---|---|
//! | there are no endpoints, or none is ready | the balancer is not ready, and is woken when an endpoint is; `FailFast` above a buffer bounds the wait |
//! | all endpoints are ejected | all are used, unless the panic threshold of their `Health` is 0: then requests wait, or fail immediately if `Health` is set to fail closed |
//! | a key is inserted twice | the old endpoint is used until the new one is ready |
//! | an endpoint is removed after it was picked | another one is picked; requests in flight continue, and idle connections are closed |
//! | discovery fails | the endpoints are kept, and discovery is polled again; without endpoints, requests fail with its error |
//! | discovery has ended | the endpoints are kept; without any, `poll_ready` fails |
//! | all weights are 0 | all are treated as equal; otherwise an endpoint of weight 0 receives no requests |
//! | weights are up to `u32::MAX` | they are valid; endpoints that do not fit on a ring are left out, with a warning |
//! | loads are not comparable, for example NaN | the endpoint that was drawn first is picked |
//! | the clock stops, or jumps forward | estimates do not decay, or decay immediately; no endpoint is ejected or returned early |
//!
//! # Cost
//!
//! Per request: two random numbers, two loads, and a poll of the picked endpoint, regardless of the number of
//! endpoints. Nothing is allocated.

mod builder;
mod discovery;
mod future;
mod layer;
mod make;
mod service;

pub use self::builder::Builder;
pub use self::future::ResponseFuture;
pub use self::layer::MakeBalanceLayer;
pub use self::make::{MakeBalance, MakeFuture};
pub use self::service::Balance;
