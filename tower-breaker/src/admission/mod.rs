//! Middleware that rejects some requests to a service that rejects too many itself.
//!
//! A service that is overloaded spends a part of its capacity on rejecting requests. If its clients notice that, and do
//! not send what is likely to be rejected, more of the capacity is left for what is accepted. Each client decides by what
//! it sees itself; no configuration names the capacity of the service.
//!
//! | layer | rejects with probability | for |
//! |---|---|---|
//! | [`ThrottleLayer`], by [`Throttle`](crate::policy::Throttle) | `(requests - 2 · accepted) / (requests + 1)` | clients that send what they are asked to |
//! | [`AdmissionLayer`] with [`NackAdmission`](crate::policy::NackAdmission) | `1 - 2 · accepted / sent`, at most 0.75 | the same, but a part is always sent, and a service with few requests is left alone |
//! | [`AdmissionLayer`] with an [`AdmissionPolicy`](crate::policy::AdmissionPolicy) of your own | | |
//!
//! Unlike a circuit breaker, which lets all requests through or none, these layers let through a share. Use a breaker for
//! a service that is down, and one of these for one that is overloaded. Put it above the retries, so that it counts
//! requests, or below them, so that it counts attempts; in both cases above a balancer, since it is about the whole
//! service.
//!
//! # Example
//!
//! The service accepts 10 of 100 requests. So most are not sent:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use std::sync::atomic::{AtomicU32, Ordering};
//! use tower_breaker::admission::ThrottleLayer;
//! use tower_breaker::error::Throttled;
//! use tower_breaker::policy::Throttle;
//! use tower_breaker::BoxError;
//! use tower_layer::Layer;
//! use tower_util::{ServiceExt, service_fn};
//!
//! let received = AtomicU32::new(0);
//! let overloaded = service_fn(|n: u32| {
//!     received.fetch_add(1, Ordering::Relaxed);
//!     async move { if n % 10 == 0 { Ok(n) } else { Err(BoxError::from("overloaded")) } }
//! });
//! let service = ThrottleLayer::new(Throttle::new()).seed(1).layer(overloaded);
//!
//! let mut throttled = 0;
//! for n in 0..10_000 {
//!     if let Err(error) = service.clone().oneshot(n).await {
//!         throttled += u32::from(error.is::<Throttled>());
//!     }
//! }
//! assert_eq!(received.load(Ordering::Relaxed) + throttled, 10_000);
//! // Twice as many as are accepted, instead of ten times.
//! assert!(throttled > 7_500);
//! # }
//! ```
//!
//! # Readiness
//!
//! That of the inner service. What it has reserved for a request that is rejected is released.
//!
//! # Cancellation
//!
//! Dropping the response future drops the inner one. The request does not count.
//!
//! A service that never responds rejects nothing. Put a [timeout](https://docs.rs/tower-timeout) below this layer, so
//! that its requests fail.
//!
//! # Errors
//!
//! A [`BoxError`](crate::BoxError) with either the inner service's error or [`Throttled`](crate::error::Throttled).
//!
//! # Clone
//!
//! Clones share the counts and the generator of random numbers.
//!
//! # Cost
//!
//! A request that is let through reads the clock once, increments and decrements a reference count that the service does
//! not share with its clones, and increments one counter that it shares. Once per tenth of the window it also takes a
//! lock. Nothing is allocated.

mod event;
mod gate;
mod layer;
mod service;
mod tally;

pub use self::event::Event;
pub use self::layer::{AdmissionLayer, ThrottleLayer};
pub use self::service::Admission;
