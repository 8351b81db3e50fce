//! Middleware that fails requests that take longer than a given time.
//!
//! The time starts when the response future is first polled and ends when it is ready. It includes neither the wait for
//! readiness before the call nor the reading of the response body. A request that times out fails with
//! [`error::Elapsed`], and its future is dropped, which cancels it.
//!
//! | to limit the time | use |
//! |---|---|
//! | of every request until its response head, by the same timeout | [`Timeout`] |
//! | of each request by a timeout that a closure chooses | [`TimeoutBy`] |
//! | of all work for a request: attempts, waits, hops | a [`Deadline`], enforced by [`EnforceDeadline`] |
//! | of the same, with the deadline propagated in HTTP and gRPC headers | `http::AcceptDeadline` and `http::ForwardDeadline`, behind the feature `http` |
//! | between the frames of a body, and of a whole body | `http::BodyTimeout` |
//! | of each attempt of a retried request | the policy of `tower-retry` |
//!
//! None of them spawns a task. Their order matters: a `Timeout` inside retries limits each attempt, one outside limits
//! all attempts together, with the waits between them.
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
//! /// Responds after the requested number of seconds.
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
//! Ready when the inner service is. The layer itself reserves nothing.
//!
//! # Errors
//!
//! A [`BoxError`] with either the inner service's error or [`error::Elapsed`].
//!
//! # Cost
//!
//! A response that is ready at the first poll costs a branch; neither the clock nor a timer is used. Any other response
//! costs one reading of the clock and a timer. Timers are pooled per thread, up to 256, and allocated only if the pool
//! is empty. A timer stays registered when its request is done, and fires without effect unless a later request takes
//! it over. With tokio's clock paused, auto-advance may stop at the time of such a timer.
//!
//! Requests share no atomic and no lock, except the runtime's timer lock when a timer is registered.
//!
//! # Differences from tower 0.5
//!
//! - The time starts with the first poll of the response, not with the call: a response that is ready then needs no
//!   clock.
//! - A timer is created when it is needed, not for each request. So a [`call`](tower_service::Service::call) outside of
//!   a tokio runtime does not panic; polling a pending response there does.
//! - A timeout that the clock cannot represent is no timeout, where tower 0.5 waits for about thirty years.
//! - A busy inner future cannot starve the timeout: the timer does not use the task's cooperative budget.
//! - [`error::Elapsed::timeout`] returns the timeout.

pub mod alarm;
mod deadline;
pub mod error;
pub mod future;
#[cfg(feature = "http")]
pub mod http;
mod layer;
mod service;
mod timeout_by;

pub use self::deadline::{Deadline, EnforceDeadline, EnforceDeadlineLayer, EnforceFuture};
pub use self::layer::TimeoutLayer;
pub use self::service::Timeout;
pub use self::timeout_by::{TimeoutBy, TimeoutByLayer};

/// An error of any type: the inner service's, or [`error::Elapsed`].
#[doc(inline)]
pub use tower_readiness::BoxError;
