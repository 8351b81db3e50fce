//! Power of two choices: of two endpoints drawn at random, the one with the lower load gets the request.
//!
//! Two choices instead of one make the most loaded endpoint exponentially less loaded, and two instead of all keep many
//! balancers from flocking to the same one (M. Mitzenmacher, [The Power of Two Choices in Randomized Load
//! Balancing](https://www.eecs.harvard.edu/~michaelm/postscripts/handbook2001.pdf)). What the load is, the endpoints say
//! by [`Load`](tower_load::Load).
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

mod layer;
mod make;
mod service;

pub use self::layer::MakeBalanceLayer;
pub use self::make::{MakeBalance, MakeFuture};
pub use self::service::Balance;
