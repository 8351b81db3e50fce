//! Middleware that fails a request which takes longer than a given time.
//!
//! The time begins when the response is first polled and ends when it is ready: waiting for readiness before does not count, and reading
//! a response's body after does not either. A request that trips fails with [`error::Elapsed`], and its future is
//! dropped, which cancels it.
//!
//! | the time | is bounded by |
//! |---|---|
//! | of a request until its response begins, the same for all | [`Timeout`] |
//! | the same, as a closure says that looks at the request | [`TimeoutBy`] |
//! | of all that is done for a request: attempts, waits, hops | a [`Deadline`], enforced by [`EnforceDeadline`] |
//! | the same, as it travels in headers of HTTP and gRPC | `http::AcceptDeadline` and `http::ForwardDeadline`, behind the feature `http` |
//! | of a body, between its frames and in all | `http::BodyTimeout` |
//! | of one of several attempts | the policy of `tower-retry` |
//!
//! All of them do without a task. Where they stand matters: a `Timeout` inside of the retries bounds each attempt, and one
//! outside of them all attempts together with the waits between them.
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
//! Requests share no atomic and no lock, so that any number of threads costs each what it costs one; but for the runtime's own
//! lock of its timers, when one has to be set.
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
mod by;
mod deadline;
pub mod error;
pub mod future;
pub mod grpc_timeout;
#[cfg(feature = "http")]
pub mod http;
mod layer;
mod service;

pub use self::by::{TimeoutBy, TimeoutByLayer};
pub use self::deadline::{Deadline, EnforceDeadline, EnforceDeadlineLayer, EnforceFuture};
pub use self::layer::TimeoutLayer;
pub use self::service::Timeout;

/// An error of any type: the inner service's, or [`error::Elapsed`].
#[doc(inline)]
pub use tower_readiness::BoxError;
