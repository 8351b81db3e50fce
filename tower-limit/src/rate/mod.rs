//! Middleware that lets at most so many requests through in a period; the rest wait until one is possible again.
//!
//! Use it to keep to a quota, of an upstream or of your own. It bounds how often, not how many at a time: for a service
//! that may get slow use a [`ConcurrencyLimit`](crate::ConcurrencyLimit). It makes the rest wait; put a
//! [`LoadShed`](crate::load_shed::LoadShed) around it to refuse them instead.
//!
//! [`RateLimitLayer`] gives each service that it wraps a limit of its own; where a framework applies layers anew for each
//! route or connection, as axum does, one limit for all takes a [`GlobalRateLimitLayer`].
//!
//! The period slides: wherever it begins, there are never more requests in it than the rate says. All of them may come at
//! once.
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use std::{convert::Infallible, time::Duration};
//! use tokio::time::Instant;
//! use tower_service::Service;
//! use tower_limit::{RateLimit, rate::Rate};
//! use tower_util::{ServiceExt, service_fn};
//!
//! let echo = service_fn(async |n: u32| Ok::<_, Infallible>(n));
//! let mut service = RateLimit::new(echo, Rate::new(2, Duration::from_secs(1)));
//! let began = Instant::now();
//! for n in 0..5 {
//!     service.ready().await.unwrap().call(n).await.unwrap();
//! }
//! assert_eq!(began.elapsed(), Duration::from_secs(2));
//! # }
//! ```
//!
//! # Readiness
//!
//! `poll_ready` takes one of the period's requests; dropping the handle without a call gives it back. Then the inner
//! service's readiness. A handle that stays ready for longer than a period before it calls sends a request that does not
//! count any more.
//!
//! # Errors
//!
//! Only the inner service's.
//!
//! # Clone
//!
//! Clones share the limit.
//!
//! # Cost
//!
//! An atomic addition per request. And a short lock and a reading of the clock: for each request of a rate under 128, or else
//! for each 64th part of the rate, up to 32 requests. Nothing is allocated but a timer for each handle that has to wait, which
//! is used again.
//!
//! # Differences from tower 0.5
//!
//! - `RateLimit` is `Clone`.
//! - There periods stand side by side, and the requests of two of them may meet at the border: twice the rate. (tower#842)
//! - No runtime is needed to make one, and a long period is no panic.
//!
//! # Implementation notes
//!
//! The requests of the last period are kept in 16 groups, whatever the rate: those within a sixteenth of a period count
//! as made with the last of them. So a request may wait for up to a sixteenth longer than it would have to. And with rates
//! of 128 and more the last few requests, a 64th of the rate and 31 at most, count as made when the next come.

mod layer;
#[expect(clippy::module_inception, reason = "the path is that of tower 0.5")]
mod rate;
mod service;
mod shared;
mod tickets;
mod window;

pub use self::layer::{GlobalRateLimitLayer, RateLimitLayer};
pub use self::rate::Rate;
pub use self::service::RateLimit;
