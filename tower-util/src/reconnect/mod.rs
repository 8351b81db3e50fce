//! Middleware that creates a new service when the current one has failed, for example a connection.
//!
//! [`Reconnect`] calls a [`MakeService`](crate::make::MakeService) for a service when it is first polled, and again
//! whenever the readiness of that service fails.
//!
//! - [`Reconnect::with_backoff`] is pending until it is connected. It waits between attempts, with a growing delay. The
//!   `MakeService` must be `Clone`. Use it under a balancer: an unreachable endpoint is not ready, so it gets no requests
//!   until it is connected again.
//! - [`Reconnect::new`] is that of tower 0.5: after a failed attempt it is ready, and the next request fails with the
//!   error. Use it if there is a single endpoint and callers should see the error at once.
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use std::sync::atomic::{AtomicU32, Ordering};
//! use tower_util::{BoxError, ServiceExt, backoff::ExponentialBackoffMaker, reconnect::Reconnect, service_fn};
//!
//! static ATTEMPTS: AtomicU32 = AtomicU32::new(0);
//!
//! /// Refuses the first two connections.
//! async fn connect(_address: &str) -> Result<impl tower_service::Service<u32, Response = u32, Error = BoxError>, BoxError> {
//!     match ATTEMPTS.fetch_add(1, Ordering::Relaxed) {
//!         0 | 1 => Err("connection refused".into()),
//!         _ => Ok(service_fn(async |n: u32| Ok::<_, BoxError>(n + 1))),
//!     }
//! }
//!
//! let make = service_fn(|address| Box::pin(connect(address)));
//! let service = Reconnect::with_backoff(make, "127.0.0.1:4711", ExponentialBackoffMaker::default());
//! assert_eq!(service.oneshot(1).await.unwrap(), 2);
//! assert_eq!(ATTEMPTS.load(Ordering::Relaxed), 3);
//! # }
//! ```
//!
//! # Readiness
//!
//! That of the inner service. Each poll makes at most one attempt, so that a service that fails immediately cannot keep
//! the task busy. A connection that is lost before it has served a request counts as a failed attempt.
//!
//! # Cancellation
//!
//! Dropping the `Reconnect` drops the connection or the attempt.
//!
//! # Errors
//!
//! The errors of requests, boxed; and without a backoff, the errors of failed attempts, with which the next request
//! fails. With a backoff, each failed attempt is a `tracing` event at level `DEBUG`.
//!
//! A service whose readiness fails is dropped, and replaced by a new one. A `MakeService` whose readiness fails is not
//! polled again either. With a backoff this counts as a failed attempt, and the next attempt uses a new clone of the
//! `MakeService`; without one, `poll_ready` returns the error, and the `Reconnect` must not be used again, as in tower
//! 0.5.
//!
//! # Differences from tower 0.5
//!
//! The error of a failed attempt is discarded once a later attempt has succeeded; tower 0.5 fails the next request with
//! it.

mod future;
mod service;

pub use self::future::ResponseFuture;
pub use self::service::Reconnect;
