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
//! # Example
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
//! That of the inner service, for the first request. The second is sent to a clone of the service, once that is ready.
//!
//! # Cancellation
//!
//! Dropping the response future drops both requests. When one has answered, the other is dropped before the answer is
//! returned.
//!
//! # Errors
//!
//! The inner service's, boxed. A request fails if the first one fails before there is a second, or if both fail; then with
//! the first one's error.
//!
//! # Clone
//!
//! Clones share what was measured, and the budget.
//!
//! # Cost
//!
//! Two readings of the clock and two short locks per request. A request that may be hedged is cloned, and so is the
//! service; nothing is allocated. A timer is registered only when the response was not ready at the first poll. Each
//! middleware takes 55 KB, however many requests it sees.
//!
//! # Differences from tower 0.5
//!
//! - The first *success* wins: an error of the second request does not fail the first, and the other way round.
//! - What is measured is the first request alone, and when the second wins, that the first took at least so long. In
//!   tower 0.5 slow requests that are hedged do not count, so that ever more requests seem slow.
//! - There is a [budget](Hedge::with_budget): by default, at most 10 hedges per second and one for five requests.
//! - Latencies are counted in microseconds, exact to 1 %, and up to an hour. A period of zero is no panic; there is then
//!   never anything to go by, and nothing is hedged.
//! - [`Hedge`] is [`Clone`], and has a layer.

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
pub use self::classify::{Classify, FirstOk, Next, Verdict};
pub use self::error::InvalidHedge;
pub use self::event::Event;
pub use self::future::Future;
pub use self::layer::HedgeLayer;
pub use self::policy::{Policy, When};
pub use self::service::Hedge;

/// An error of any type: the inner service's.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
