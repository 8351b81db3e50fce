//! Middleware that limits the number of requests per period.
//!
//! Further requests wait until the rate permits them; with [`shed`](RateLimit::shed) or [`max_wait`](RateLimit::max_wait) they
//! are [refused](crate::refuse) instead.
//!
//! Use it to enforce a quota, an upstream's or your own. It limits the rate and not the number of in-flight requests: for a
//! service that may become slow use a [`ConcurrencyLimit`](crate::ConcurrencyLimit).
//!
//! [`RateLimitLayer`] gives each service that it wraps its own limit; if a framework applies layers for each route or
//! connection, as axum does, use [`GlobalRateLimitLayer`] for a single limit.
//!
//! There are two policies:
//!
//! - [`RateLimit::new`] is a sliding window: it holds in any period of the given length, wherever that begins. Bursts are
//!   allowed: all requests of a period may be sent at once. Use it for a quota that is stated per period.
//! - [`RateLimit::token_bucket`] has a burst of its own: once that is used up, requests are spaced evenly. Use it to protect a
//!   service, which would have to handle all requests of a window at once. See [`TokenBucket`].
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use std::{convert::Infallible, time::Duration};
//! use tokio::time::Instant;
//! use tower_service::Service;
//! use tower_limit::{RateLimit, rate::{Rate, TokenBucket}};
//! use tower_util::{ServiceExt, service_fn};
//!
//! let echo = service_fn(async |n: u32| Ok::<_, Infallible>(n));
//! let mut service = RateLimit::new(echo, Rate::new(2, Duration::from_secs(1)));
//! let began = Instant::now();
//! for n in 0..5 {
//!     service.ready().await.unwrap().call(n).await.unwrap();
//! }
//! assert_eq!(began.elapsed(), Duration::from_secs(2));
//!
//! // Two at once, then one every half second.
//! let bucket = TokenBucket::new(Rate::new(2, Duration::from_secs(1)), 2);
//! let mut service = RateLimit::token_bucket(echo, bucket);
//! let began = Instant::now();
//! for n in 0..5 {
//!     service.ready().await.unwrap().call(n).await.unwrap();
//! }
//! assert_eq!(began.elapsed(), Duration::from_millis(1500));
//! # }
//! ```
//!
//! # Readiness
//!
//! `poll_ready` first reserves one of the period's requests, or a token, then polls the inner service. Dropping the handle
//! without a call returns the reservation; a token is lost if the bucket has been full since, as it has been added again. A
//! reservation counts from when it was made: if a handle stays ready for longer than a period before
//! it calls, its request does not count in the period in which it is sent.
//!
//! # Cancellation
//!
//! Dropping the response future does not return the request: it counts once it has been called.
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
//! Of a window: one atomic addition per request. In addition, a short lock and a clock reading: for each request if the rate is
//! below 128, otherwise once for each 64th of the rate, or each 32 requests if that is less.
//!
//! Of a token bucket: a clock reading and an atomic exchange per request, and an atomic addition if the bucket was full. No lock.
//!
//! Nothing is allocated but a timer for each handle that has to wait, which the handle reuses.
//!
//! # Differences from tower 0.5
//!
//! - `RateLimit` is `Clone`.
//! - The window slides. In tower 0.5 periods are fixed, so the requests of two adjacent ones may follow each other directly:
//!   twice the rate (tower#842).
//! - Creating a `RateLimit` needs no runtime, and a period that the clock cannot represent does not panic.
//!
//! # Implementation notes
//!
//! The requests of the last period are counted in 16 groups, whatever the rate: all requests within a sixteenth of a period
//! count as sent at the time of the last one. So a request may wait for up to a sixteenth of a period longer than necessary.
//! With rates of 128 and more, the last few requests, a 64th of the rate and at most 31, count as sent when the next ones are.
//!
//! The token bucket is the generic cell rate algorithm (ITU-T I.371): its state is the time at which it will be full. That is
//! exact, and one atomic word. Handles that wait are woken at the time of the next token, and the first to poll takes it.

pub(crate) mod gcra;
mod layer;
#[expect(clippy::module_inception, reason = "the path is that of tower 0.5")]
mod rate;
mod service;
mod shared;
mod tickets;
mod token_bucket;
mod window;

pub use self::layer::{GlobalRateLimitLayer, RateLimitLayer};
pub use self::rate::Rate;
pub use self::service::RateLimit;
pub use self::token_bucket::TokenBucket;
