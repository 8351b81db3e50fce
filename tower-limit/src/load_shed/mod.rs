//! Middleware that refuses requests while the inner service is not ready, where others would wait.
//!
//! Without it, what a limit does not let in piles up before it. Put it right above the limit that shall refuse; the
//! caller gets [`error::Overloaded`] at once, and may go elsewhere. Do not put it where a short wait is normal: over a
//! service that is not ready now and then, such as one that connects, it refuses what would have been answered.
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
//! Always ready, unless the inner service fails. A handle that refuses its request leaves the queue of a limit below, and
//! keeps nothing from others. The inner service is asked each time.
//!
//! # Errors
//!
//! A [`BoxError`](crate::BoxError): the inner service's, or [`error::Overloaded`]. An error of the inner service's readiness
//! is passed on, and ends this one as well: only `Pending` is a reason to refuse.

pub mod error;
pub mod future;
mod layer;
mod service;

pub use self::layer::LoadShedLayer;
pub use self::service::LoadShed;
