//! Middleware that fails requests immediately once the inner service has not been ready for some time.
//!
//! While a service is unavailable, a queue in front of it only delays errors. [`FailFast`] bounds that delay. Put it right
//! below a [`Buffer`](crate::Buffer): when the inner service has been pending for longer than `max_wait`, all queued
//! requests fail with [`Unavailable`], and so do new ones, until the inner service is ready again. It also works without a
//! buffer, but then the inner service is polled only when a caller polls, and its recovery is not noticed without callers.
//!
//! Do not use it for a service that is busy rather than unavailable: requests that wait for a limit below for longer than
//! `max_wait` fail as well.
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use std::future::{Ready, poll_fn};
//! use std::task::{Context, Poll};
//! use std::time::Duration;
//! use tower_buffer::{Buffer, fail_fast::{FailFast, Unavailable}};
//! use tower_service::Service;
//!
//! /// A service that never becomes ready.
//! struct Gone;
//!
//! impl Service<u32> for Gone {
//!     type Response = u32;
//!     type Error = std::io::Error;
//!     type Future = Ready<Result<u32, std::io::Error>>;
//!
//!     fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
//!         Poll::Pending
//!     }
//!
//!     fn call(&mut self, _request: u32) -> Self::Future {
//!         unreachable!("it is never ready")
//!     }
//! }
//!
//! let mut service = Buffer::new(FailFast::new(Gone, Duration::from_secs(3)), 16);
//! poll_fn(|cx| service.poll_ready(cx)).await.unwrap();
//! let error = service.call(1).await.unwrap_err(); // after three seconds
//! assert_eq!(error.downcast_ref::<Unavailable>().unwrap().waited(), Duration::from_secs(3));
//! # }
//! ```
//!
//! # Readiness
//!
//! Ready when the inner service is, and also while it fails fast. Meanwhile it continues to poll the inner service.
//!
//! # Errors
//!
//! The inner service's errors, boxed, and [`Unavailable`]. An error of the inner service's `poll_ready` is returned from
//! `poll_ready`.
//!
//! # Cost
//!
//! One branch per request while the inner service is ready. A timer, allocated once, is armed only when it is not.

mod error;
mod future;
mod layer;
mod service;

pub use self::error::Unavailable;
pub use self::future::ResponseFuture;
pub use self::layer::FailFastLayer;
pub use self::service::FailFast;
