//! Middleware that responds from elsewhere when the inner service fails: from a value, a function or another service.
//!
//! Use it where a worse response is better than none: an empty list of recommendations, the prices of yesterday, another region.
//! Put it above the retries and timeouts whose failures it replaces. Do not use it to hide failures that somebody must know of:
//! its [events](FallbackLayer::on_event) say how often it responds. A fallback that is rarely used is rarely tested, and it
//! receives all requests at once when the inner service fails.
//!
//! | the response comes from | constructor | a clone of each request |
//! |---|---|---|
//! | a value | [`FallbackLayer::value`] | no |
//! | a function of the failed result | [`FallbackLayer::function`] | no |
//! | a function of the request and the failed result | [`FallbackLayer::request_function`] | yes |
//! | another service | [`FallbackLayer::service`] | yes |
//! | your own | [`FallbackLayer::new`] with a [`Substitute`] | as it decides |
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tower_fallback::BoxError> {
//! use std::io;
//! use tower_fallback::FallbackLayer;
//! use tower_layer::Layer;
//! use tower_util::{ServiceExt, service_fn};
//!
//! let prices = service_fn(async |item: &'static str| match item {
//!     "tea" => Ok(3),
//!     "gold" => Err(io::Error::from(io::ErrorKind::NotFound)),
//!     _ => Err(io::Error::from(io::ErrorKind::TimedOut)),
//! });
//! let yesterday = service_fn(async |item: &'static str| Ok::<_, io::Error>(item.len()));
//!
//! let service = FallbackLayer::service(yesterday)
//!     .when(|error: &io::Error| error.kind() == io::ErrorKind::TimedOut)
//!     .layer(prices);
//! assert_eq!(service.clone().oneshot("tea").await?, 3);
//! assert_eq!(service.clone().oneshot("coffee").await?, 6);
//! assert!(service.oneshot("gold").await.is_err()); // no fallback for this error
//! # Ok(())
//! # }
//! ```
//!
//! # What is a failure
//!
//! By default, each error. [`when`](FallbackLayer::when) takes a predicate on the error, and
//! [`classify`](FallbackLayer::classify) a [`Classify`](tower_classify::Classify), with which a response can be a failure as well:
//! the fallback responds if the result is classified as [a failure or as unsent](tower_classify::Class::is_failure).
//!
//! # Readiness
//!
//! That of the inner service, and its error: the fallback replaces results of requests, not of `poll_ready`. Put a
//! [`load_shed`](https://docs.rs/tower/latest/tower/load_shed) below if the fallback is to respond while the inner service is not
//! ready. A fallback service is polled for readiness only when it is needed, in the response future, on a clone of it.
//!
//! # Cancellation
//!
//! Dropping the response future drops the request to whichever service it waits for. The inner service's future is dropped before
//! the fallback is asked.
//!
//! # Errors
//!
//! From a value or a function, that of the inner service. With a fallback service, a [`BoxError`]: the error of the inner service
//! if that is not a failure, or a [`FallbackFailed`](error::FallbackFailed), whose source is the error of the fallback service, and
//! which has the original error as well.
//!
//! # Clone
//!
//! Clones share nothing but what the fallback's own clones share.
//!
//! # Cost
//!
//! A clone of the fallback and of the classification per request: of a closure that captures nothing, nothing; of a value, a
//! reference count. No allocation, no lock, no clock reading.

pub mod error;
mod event;
pub mod future;
mod layer;
mod service;
mod substitute;
mod when;

#[doc(inline)]
pub use tower_readiness::BoxError;

pub use self::event::Event;
pub use self::layer::FallbackLayer;
pub use self::service::Fallback;
pub use self::substitute::{FromFn, FromRequest, FromService, FromValue, Substitute};
pub use self::when::When;
