//! Middleware that sends a slow request a second time, and takes the answer that comes first.
//!
//! Of many requests a few take far longer than the rest: a garbage collection, a full queue, a lost packet. [`Hedge`]
//! measures how long requests take, and sends a request again once it has taken longer than most (say 99 %) of the recent
//! ones. The first success is the answer, and the other request is dropped. For a few more requests the slowest answers
//! come much sooner: *The Tail at Scale*, Dean and Barroso, 2013.
//!
//! Hedge what is safe to do twice, and what is slow by chance: over a balancer, so that the second request goes to another
//! endpoint. Do not hedge what is slow because there is too much of it; the budget keeps that mistake small.
//!
//! There are two ways to one. [`HedgeLayer::builder`] is for production; [`Hedge::new`] is what tower 0.5 has.
//!
//! | | [`HedgeLayer::builder`] | [`Hedge::new`] |
//! |---|---|---|
//! | a request is slow | after the 99th percentile of the last 30 s, sliding by 6 s, and 1 ms at least; or after a fixed delay | after the percentile of the last whole period |
//! | is sent | twice at most, or up to 5 times | twice at most |
//! | extra load | 1 % of what succeeds, or a budget shared with retries | 20 % of what succeeds, and ten per second |
//! | which requests | a closure, or a [`Policy`] | a [`Policy`] |
//! | which answer | the first success, or what [`Classify`] says: losers, fatal ones, pushback | the first success |
//! | tells the outside | `tracing` events at the level `debug`, and an [observer](Builder::on_event) | `tracing` events |
//!
//! HTTP and gRPC have both policy and classification ready, in the module `http` behind the feature of that name.
//!
//! # Example
//!
//! One request of 50 takes a second, the others a millisecond:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), tower_hedge::BoxError> {
//! use std::time::Duration;
//! use tower_hedge::{BoxError, HedgeLayer};
//! use tower_layer::Layer;
//! use tower_util::{ServiceExt, service_fn};
//!
//! // As more than 1 % are slow, neither the default percentile nor the default share would do.
//! let layer = HedgeLayer::builder()
//!     .when(|n: &u32| *n < 100) // those that are safe to do twice
//!     .percentile(0.95)
//!     .max_extra(0.03)
//!     .build()?;
//!
//! let calls = std::cell::Cell::new(0);
//! let service = layer.layer(service_fn(|n: u32| {
//!     calls.set(calls.get() + 1);
//!     let time = Duration::from_millis(if calls.get() % 50 == 0 { 1000 } else { 1 });
//!     async move {
//!         tokio::time::sleep(time).await;
//!         Ok::<_, BoxError>(n + 1)
//!     }
//! }));
//! for _ in 0..1000 {
//!     service.clone().oneshot(1).await?;
//! }
//! // By now it is known how long requests take.
//! for _ in 0..100 {
//!     let began = tokio::time::Instant::now();
//!     assert_eq!(service.clone().oneshot(1).await?, 2);
//!     assert!(began.elapsed() < Duration::from_millis(10));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! As in tower 0.5:
//!
//! The first request of a pair takes an hour, the second a millisecond:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use std::time::Duration;
//! use tower_hedge::{Hedge, Policy};
//! use tower_util::{ServiceExt, service_fn};
//!
//! /// Any request can be sent twice.
//! #[derive(Clone)]
//! struct Always;
//!
//! impl<Req: Clone> Policy<Req> for Always {
//!     fn clone_request(&self, request: &Req) -> Option<Req> {
//!         Some(request.clone())
//!     }
//!
//!     fn can_retry(&self, _request: &Req) -> bool {
//!         true
//!     }
//! }
//!
//! let calls = std::rc::Rc::new(std::cell::Cell::new(0));
//! let service = service_fn(move |n: u32| {
//!     calls.set(calls.get() + 1);
//!     let time = if calls.get() == 1 { Duration::from_secs(3600) } else { Duration::from_millis(1) };
//!     async move {
//!         tokio::time::sleep(time).await;
//!         Ok::<_, std::convert::Infallible>(n + 1)
//!     }
//! });
//! // A request is hedged that takes longer than 99 % of those of the last minute, if there were 10 at least. Here we say
//! // what they took; `Hedge::new` has to find out first.
//! let measured = [10; 100];
//! let minute = Duration::from_secs(60);
//! let service = Hedge::new_with_mock_latencies(service, Always, 10, 0.99, minute, &measured);
//!
//! let began = tokio::time::Instant::now();
//! assert_eq!(service.oneshot(1).await.unwrap(), 2);
//! assert!(began.elapsed() < Duration::from_millis(15));
//! # }
//! ```
//!
//! # Readiness
//!
//! That of the inner service, for the first request. Further ones are sent to clones of the service, once these are ready.
//!
//! # Cancellation
//!
//! Dropping the response future drops all requests. When one has the answer, the others are dropped before it is returned.
//!
//! # Errors
//!
//! The inner service's, boxed. By default a request fails if the first one fails before there is a second, or if all fail;
//! then with the first one's error. [`Classify`] may say otherwise. A clone whose readiness fails is a request that has
//! failed: it is dropped, and the next one has a clone of its own.
//!
//! # Clone
//!
//! Clones share what was measured, and the budget.
//!
//! # Cost
//!
//! Per request two readings of the clock, and no lock: what is slow is one word, and what is recorded goes to counters that
//! each thread has for itself, up to eight. The budget of [`Hedge::new`] and that of the builder are one word each, and the
//! first adds a lock and another reading for each 64th request. Beside the budget all requests share a reference count, which
//! each counts up and down: threads that send at the same time wait for these two cache lines, and for nothing else. With a fixed delay, there is one reading. A request that may be hedged is cloned, and so is the
//! service, but nothing is allocated unless it is hedged: then twice. A timer is registered only when the response was not
//! ready at the first poll. Once in a slice of the window, one request takes 20 to 60 microseconds longer.
//!
//! Each middleware takes 7 KB for each CPU up to eight, and 7 KB more, or 35 KB more if it comes of the builder, however many
//! requests it sees. With a fixed delay it takes nothing.
//!
//! # Differences from tower 0.5
//!
//! - The first *success* wins: an error of the second request does not fail the first, and the other way round.
//! - What is measured is the first request alone, if it wins; and when another wins, that the first took at least so long. In
//!   tower 0.5 slow requests that are hedged do not count, so that ever more requests seem slow.
//! - There is a [budget](Hedge::with_budget): by default, at most 10 hedges per second and one for five requests.
//! - Latencies are counted in microseconds, exact to 1.6 %, and up to an hour. A period of zero is no panic; there is then
//!   never anything to go by, and nothing is hedged.
//! - [`Hedge`] is [`Clone`], and has a layer and a builder.
//!
//! # Implementation notes
//!
//! The rules are those of Finagle's `BackupRequestFilter` (percentile, floor of a millisecond, share of extra load) and of
//! hedging in [gRFC A6](https://github.com/grpc/proposal/blob/master/A6-client-retries.md) (fixed delay, attempts, fatal
//! statuses, pushback). Unlike gRPC, a failure has nothing sent earlier than planned unless [`Classify`] says so.

mod budget;
mod builder;
mod classify;
mod error;
mod event;
mod future;
#[cfg(feature = "http")]
pub mod http;
mod latencies;
mod layer;
mod plan;
mod policy;
mod service;
mod shared;
mod sync;
mod wait;

pub use self::builder::Builder;
pub use self::classify::{Classify, FirstOk, Lost, Next, Verdict};
pub use self::error::InvalidHedge;
pub use self::event::Event;
pub use self::future::Future;
pub use self::layer::HedgeLayer;
pub use self::policy::{Policy, When};
pub use self::service::Hedge;

/// An error of any type: the inner service's.
#[doc(inline)]
pub use tower_util::BoxError;
