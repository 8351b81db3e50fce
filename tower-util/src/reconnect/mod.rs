//! Middleware that makes its service anew when it has failed: a connection that comes back.
//!
//! [`Reconnect`] asks a [`MakeService`](crate::make::MakeService) for a service when it is first polled, and again
//! whenever that service fails to be ready.
//!
//! - [`Reconnect::with_backoff`] stays pending until there is a connection, and waits between attempts, longer each
//!   time. Its maker must be `Clone`. Under a balancer this is the one to use: a dead endpoint is not ready, gets no request, and comes back.
//! - [`Reconnect::new`] is that of tower 0.5: after a failed attempt it is ready, and the next request gets the error.
//!   It fits where there is one endpoint and its callers want to know at once.
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
//! /// Refuses twice.
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
//! That of the service made. Each poll makes it at most once, so that one which fails at once cannot keep the task
//! busy. A connection that is lost before it has served a request counts as a failed attempt.
//!
//! # Cancellation
//!
//! Dropping it drops the connection or the attempt.
//!
//! # Errors
//!
//! The errors of the requests, boxed; and without a backoff those of making the service, which the next request gets.
//! With a backoff these are told as a `tracing` event of level `DEBUG` each.
//!
//! A service whose readiness fails is dropped, and made anew. A maker whose readiness fails is not polled again either:
//! with a backoff it is a failed attempt, and the next one has a fresh clone of the maker; without one, `poll_ready`
//! returns the error, and the `Reconnect` is at its end, as in tower 0.5.
//!
//! # Differences from tower 0.5
//!
//! The error of an attempt is forgotten once a later one has succeeded, where tower 0.5 fails a request with it then.

mod future;
mod service;

pub use self::future::ResponseFuture;
pub use self::service::Reconnect;
