//! Middleware that sends a slow request a second time, and returns the first successful response.
//!
//! A few requests take far longer than the rest, because of a garbage collection, a full queue or a lost packet.
//! [`Hedge`] measures latencies, and sends a request again once it has taken longer than most of the recent ones (for
//! example 99 %). The first success is returned, and the other attempt is dropped. A few additional requests greatly
//! reduce the tail latency: *The Tail at Scale*, Dean and Barroso, 2013.
//!
//! Hedge requests that are safe to execute twice and that are slow by chance. Put the layer above a balancer, so that
//! the hedge goes to another endpoint. Do not hedge requests that are slow because of overload; the budget limits the
//! additional load if you do.
//!
//! There are two constructors: [`HedgeLayer::builder`] for production, and [`Hedge::new`], which is that of tower 0.5.
//!
//! | | [`HedgeLayer::builder`] | [`Hedge::new`] |
//! |---|---|---|
//! | a slow request | slower than 1 ms and than the 99th percentile of a 30 s window (advanced every 6 s), or slower than a fixed delay | slower than the percentile of the last whole period |
//! | attempts | at most 2; up to 5 can be set | at most 2 |
//! | hedges | 1 % of successes, or a budget shared with retries | 20 % of successes plus ten per second |
//! | requests that are hedged | a closure, or a [`Policy`] | a [`Policy`] |
//! | response that is returned | the first success, or by a [classification](Builder::classify): transient and fatal failures, pushback | the first success |
//! | observability | `tracing` events at level `DEBUG`, and an [observer](Builder::on_event) | `tracing` events |
//!
//! The feature `http` adds the module `http`, with a policy and a classification for HTTP and gRPC.
//!
//! # Example
//!
//! One request in 50 takes a second, the others a millisecond:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), tower_hedge::BoxError> {
//! use std::time::Duration;
//! use tower_hedge::{BoxError, HedgeLayer};
//! use tower_layer::Layer;
//! use tower_util::{ServiceExt, service_fn};
//!
//! // More than 1 % are slow, so the defaults of percentile and budget do not fit.
//! let layer = HedgeLayer::builder()
//!     .when(|n: &u32| *n < 100) // requests that are safe to execute twice
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
//! // Now enough latencies are measured.
//! for _ in 0..100 {
//!     let began = tokio::time::Instant::now();
//!     assert_eq!(service.clone().oneshot(1).await?, 2);
//!     assert!(began.elapsed() < Duration::from_millis(10));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! With the constructor of tower 0.5; the first attempt takes an hour, the second a millisecond:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use std::time::Duration;
//! use tower_hedge::{Hedge, Policy};
//! use tower_util::{ServiceExt, service_fn};
//!
//! /// Every request may be hedged.
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
//! // Hedges a request that takes longer than 99 % of those of the last minute, if there were at least 10. Here their
//! // latencies are passed in; `Hedge::new` has to measure them first.
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
//! `poll_ready` reserves what the inner service reserves, for the first attempt only. Hedges are sent on clones of the
//! service, once these are ready.
//!
//! # Cancellation
//!
//! Dropping the response future drops all attempts. When one attempt has the result, the others are dropped before it
//! is returned.
//!
//! # Errors
//!
//! A [`BoxError`] with the error of the inner service. By default a request fails if the first attempt fails before a
//! hedge is sent, or if all attempts fail, in both cases with the error of the first attempt. A
//! [classification](Builder::classify) can decide otherwise. A clone whose readiness fails counts as a failed attempt:
//! it is dropped, and the next attempt uses a new clone.
//!
//! # Clone
//!
//! Clones share the measured latencies and the budget.
//!
//! # Cost
//!
//! Each request reads the clock twice and takes no lock: the threshold is an atomic, and latencies are recorded in
//! per-thread counters, in up to eight shards. The budgets of [`Hedge::new`] and of the builder are one atomic each;
//! that of [`Hedge::new`] also takes a lock and reads the clock once in 64 requests. With a fixed delay, the clock is
//! read once. A request that may be hedged is cloned, and so is the service, but nothing is allocated unless a hedge is
//! sent, which takes two allocations. A timer is registered only if the response is not ready at the first poll. Once
//! per fifth of the window, when the threshold is computed, one request takes 20 to 60 microseconds longer.
//!
//! Threads with a clone each share only the atomic of the budget; with the builder's budget, not even that while it is
//! full. Each clone has its own reference count for its requests; it is allocated once, with the second request of
//! the clone.
//!
//! Memory: 7 KB per CPU (at most eight), plus 7 KB with [`Hedge::new`] or 35 KB with the builder, independent of the
//! number of requests.
//! With a fixed delay, no memory is needed for latencies.
//!
//! # Differences from tower 0.5
//!
//! - The first *success* wins: an error of the second attempt does not fail the first, and vice versa.
//! - If the first attempt wins, its latency is recorded; if a hedge wins, the time that the first attempt has taken so
//!   far.
//!   In tower 0.5 slow requests that are hedged are not recorded, so that more and more requests seem slow.
//! - There is a [budget](Hedge::with_budget). By default, hedges are limited to 20 % of the successes plus ten per
//!   second.
//! - Latencies are recorded in microseconds, with an error of at most 1.6 %, up to an hour. A period of zero does not
//!   panic: there are never any samples, and nothing is hedged.
//! - [`Hedge`] is [`Clone`], and has a layer and a builder.
//!
//! # Implementation notes
//!
//! The rules follow Finagle's `BackupRequestFilter` (percentile, minimum of a millisecond, share of extra load) and
//! hedging in [gRFC A6](https://github.com/grpc/proposal/blob/master/A6-client-retries.md) (fixed delay, attempts,
//! fatal statuses, pushback). Unlike in gRPC, a failure does not send the next attempt early unless it has a pushback.

mod budget;
mod builder;
mod error;
mod event;
mod future;
#[cfg(feature = "http")]
pub mod http;
mod keep;
mod latencies;
mod layer;
mod plan;
mod policy;
mod service;
mod state;
mod state_ref;
mod sync;
mod wait;

pub use self::builder::Builder;
pub use self::error::InvalidHedge;
pub use self::event::Event;
pub use self::future::Future;
pub use self::keep::{Keep, KeepErrors, KeepResults};
pub use self::layer::HedgeLayer;
pub use self::policy::{Policy, When};
pub use self::service::Hedge;

/// A boxed error of any type: that of the inner service.
#[doc(inline)]
pub use tower_util::BoxError;
