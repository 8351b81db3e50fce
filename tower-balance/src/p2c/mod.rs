//! Power of two choices: of two endpoints drawn at random, the one with the lower load gets the request.
//!
//! Two choices instead of one make the most loaded endpoint exponentially less loaded, and two instead of all keep many
//! balancers from flocking to the same one (M. Mitzenmacher, [The Power of Two Choices in Randomized Load
//! Balancing](https://www.eecs.harvard.edu/~michaelm/postscripts/handbook2001.pdf)). What the load is, the endpoints say
//! by [`Load`](tower_load::Load).
//!
//! Do not use it where a request belongs to a certain endpoint, such as the one with its cache; and with endpoints of very
//! different strength choose a load that tells, such as [`PeakEwma`](tower_load::PeakEwma).
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
//! // Of two, both are drawn, and the one with the lower load gets the request.
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
//! Ready when an endpoint is ready and was asked again just now. Each poll takes up what discovery has to say, drives
//! all endpoints that were woken, and draws anew. While there is no endpoint, it waits for discovery.
//!
//! # Errors
//!
//! A [`BoxError`](crate::BoxError). Of `poll_ready`, after which it is at its end:
//!
//! - [`error::NoEndpoints`](crate::error::NoEndpoints) when no endpoint is left and discovery has ended; or
//!   [`error::Discover`](crate::error::Discover), if an error was the last that discovery had to say.
//!
//! Of a request:
//!
//! - the endpoint's;
//! - [`error::Discover`](crate::error::Discover) while there is no endpoint and the last that discovery said was an error.
//!   So the first lookup of a name may fail without closing a buffer above the balancer.
//! - [`error::NoHealthyEndpoints`](crate::error::NoHealthyEndpoints) while all are ejected, if the [`Health`] says that
//!   requests [fail](crate::health::Health::set_fail_closed) then.
//!
//! Errors of discovery are survived: each is a `tracing` event of level `WARN` and an
//! [`Event`](crate::Event::DiscoveryFailed), the endpoints stay, and discovery is polled on. Two of them come at least a
//! second apart, for which a tokio runtime with timers is needed: a second error that comes earlier is held back, and
//! discovery is not polled meanwhile.
//!
//! An endpoint whose readiness fails is dropped, with a `tracing` event of level `WARN` and an
//! [`Event`](crate::Event::EndpointFailed), and not polled again until discovery inserts it anew: put a `Reconnect` with a
//! backoff below, whose readiness does not fail.
//!
//! [`Health`]: crate::health::Health
//!
//! # What a failing endpoint draws
//!
//! One that fails each request at once is never busy. By requests in flight it draws up to twice its share while the others
//! are busy, by [`PeakEwma`](tower_load::PeakEwma) less than 0.5 %, as trials whether it has recovered. The
//! [pickers](crate::picker#what-a-failing-endpoint-draws) differ; ejection by its [`health`](crate::health) is for all of them.
//!
//! # When something is odd
//!
//! | what | then |
//! |---|---|
//! | there is no endpoint, or none is ready | it is not ready, and is woken when one is; `FailFast` above a buffer bounds the wait |
//! | all are ejected | all are used, unless the panic threshold of their [`Health`] is 0: then requests wait, or fail at once if it says so |
//! | a key is inserted twice | the old endpoint goes on until the new one is ready |
//! | an endpoint is removed after it was picked | another one is; requests that it has go on, and its idle connections close |
//! | discovery fails | the endpoints stay, and discovery is polled on; without endpoints, requests fail with its error |
//! | discovery has ended | the endpoints stay; without any it is an error |
//! | all weights are 0 | they are alike; who alone has 0 gets nothing |
//! | weights up to `u32::MAX` | are as good as others; a ring leaves out who finds no room on it, with a warning |
//! | loads cannot be compared, such as a NaN | the one that was drawn first |
//! | the clock stands still, or jumps | estimates do not age meanwhile, or do at once; nobody is ejected, and nobody returns, before its time |
//!
//! # Cost
//!
//! Per request: two random numbers, two loads, and a poll of the chosen endpoint; the same for three endpoints and for
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
