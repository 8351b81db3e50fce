//! Middleware that fails a request which takes longer than a given time.
//!
//! The time begins when the response is first polled and ends when it is ready: waiting for readiness before does not count, and reading
//! a response's body after does not either. A request that trips fails with [`error::Elapsed`], and its future is
//! dropped, which cancels it.
//!
//! Do not use it to bound a stream, or the whole of several attempts if it stands inside of the retries.
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use std::future::Future;
//! use std::pin::Pin;
//! use std::task::{Context, Poll};
//! use std::time::Duration;
//! use tower_service::Service;
//! use tower_timeout::{Timeout, error::Elapsed};
//!
//! /// Answers after as many seconds as it is asked for.
//! struct Sleeper;
//!
//! impl Service<u64> for Sleeper {
//!     type Response = u64;
//!     type Error = std::convert::Infallible;
//!     type Future = Pin<Box<dyn Future<Output = Result<u64, Self::Error>>>>;
//!
//!     fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
//!         Poll::Ready(Ok(()))
//!     }
//!
//!     fn call(&mut self, seconds: u64) -> Self::Future {
//!         Box::pin(async move {
//!             tokio::time::sleep(Duration::from_secs(seconds)).await;
//!             Ok(seconds)
//!         })
//!     }
//! }
//!
//! let mut service = Timeout::new(Sleeper, Duration::from_secs(5));
//! assert_eq!(service.call(4).await.unwrap(), 4);
//!
//! let error = service.call(6).await.unwrap_err();
//! assert_eq!(error.downcast_ref::<Elapsed>().unwrap().timeout(), Some(Duration::from_secs(5)));
//! # }
//! ```
//!
//! # Readiness
//!
//! That of the inner service; nothing is reserved.
//!
//! # Errors
//!
//! A [`BoxError`] with either the inner service's error or [`error::Elapsed`].
//!
//! # Cost
//!
//! A response that is ready at the first poll costs a branch: neither is the clock read nor a timer set. Any other costs
//! one reading of the clock and a timer that an earlier request of its thread has left behind. That stays set when the
//! request is done, and fires for nobody if no later request takes it over; up to 256 are kept per thread. One is allocated
//! only if none is left. With tokio's clock paused, this clock may stop at the times of such timers.
//!
//! # Differences from tower 0.5
//!
//! - The time begins with the first poll of the response, not with the call: a response that is ready then needs no clock.
//! - A timer is made when it is needed, not for each request. So a [`call`](tower_service::Service::call) outside of a
//!   tokio runtime is no panic; polling a pending response there is.
//! - A timeout too large for the clock means that there is none, where tower 0.5 waits some thirty years.
//! - An inner future that keeps the task busy cannot keep the timeout from being noticed: the timer does not depend on the
//!   task's cooperative budget.
//! - [`error::Elapsed`] tells the timeout.

pub mod alarm;
mod deadline;
pub mod error;
pub mod future;
mod layer;
mod service;

pub use self::deadline::Deadline;
pub use self::layer::TimeoutLayer;
pub use self::service::Timeout;

/// An error of any type: the inner service's, or [`error::Elapsed`].
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
