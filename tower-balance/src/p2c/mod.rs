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
//! A [`BoxError`](crate::BoxError): the endpoint's, or [`error::Discover`](crate::error::Discover) when discovery fails,
//! or [`error::NoEndpoints`](crate::error::NoEndpoints) when none is left and discovery has ended.
//! An endpoint whose readiness fails is dropped, with a `tracing` event of level `WARN`, until discovery inserts it
//! again: put a `Reconnect` with a backoff below, whose readiness does not fail.
//!
//! # Cost
//!
//! Per request: two random numbers, two loads, and a poll of the chosen endpoint; the same for three endpoints and for
//! ten thousand. Nothing is allocated.

mod builder;
mod layer;
mod make;
mod service;

pub use self::builder::Builder;
pub use self::layer::MakeBalanceLayer;
pub use self::make::{MakeBalance, MakeFuture};
pub use self::service::Balance;
