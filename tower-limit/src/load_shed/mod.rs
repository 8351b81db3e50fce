//! Middleware that rejects requests while the inner service is not ready, instead of making them wait.
//!
//! Put it directly around a limit whose callers should not wait, so that no queue builds up: the caller gets
//! [`error::Overloaded`] at once, and may try elsewhere. Do not use it where a short wait is normal: around a service that is
//! sometimes not ready, for instance while it connects, it rejects requests that would have succeeded.
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use std::{convert::Infallible, future::pending};
//! use tower_limit::{ConcurrencyLimit, load_shed::{LoadShed, error::Overloaded}};
//! use tower_service::Service;
//! use tower_util::{ServiceExt, service_fn};
//!
//! let stuck = service_fn(|()| pending::<Result<(), Infallible>>());
//! let mut service = LoadShed::new(ConcurrencyLimit::new(stuck, 1));
//! let _in_flight = service.ready().await.unwrap().call(());
//! let error = service.clone().oneshot(()).await.unwrap_err();
//! assert!(error.is::<Overloaded>());
//! # }
//! ```
//!
//! # Readiness
//!
//! Always ready, unless the inner service fails. Each `poll_ready` polls the inner service. If that is pending, what it has
//! reserved is released, so a handle that is going to reject its request has no place in the queue of a limit below.
//!
//! # Cancellation
//!
//! Dropping the response future drops the inner service's; a rejected request has none.
//!
//! # Errors
//!
//! A [`BoxError`](crate::BoxError) with either the inner service's error or [`error::Overloaded`]. If the inner service's
//! `poll_ready` fails, so does this one's: only `Poll::Pending` leads to a rejection.
//!
//! # Clone
//!
//! Clones share only what the inner services share. A clone has to be polled for readiness itself.
//!
//! # Cost
//!
//! A branch per request. Nothing is allocated, unless an error of the inner service has to be boxed.

pub mod error;
pub mod future;
mod layer;
mod service;

pub use self::layer::LoadShedLayer;
pub use self::service::LoadShed;
