//! Middleware that drives a service to readiness in a task of its own.
//!
//! Some services make progress only while someone polls their readiness, for instance by connecting. [`SpawnReady`]
//! does that in the background, so that they get ready also when the caller stops polling, until it is dropped.
//!
//! It takes a task for each time that the service is not ready. A service that is not ready often is better behind a
//! buffer, whose one task drives it all the time.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//! use tower_util::{ServiceExt, service_fn, spawn_ready::SpawnReady};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let service = SpawnReady::new(service_fn(async |n: u32| Ok::<_, Infallible>(n + 1)));
//! assert_eq!(service.oneshot(1).await.unwrap(), 2);
//! # }
//! ```
//!
//! # Readiness
//!
//! That of the inner service. When that is pending, a task is spawned, which ends when the service is ready or failed,
//! or when the `SpawnReady` is dropped. The task makes the service ready and reserves nothing: the permit of a limit, for
//! example, is taken when the caller polls again, and it may have to wait for it.
//!
//! # Errors
//!
//! The inner service's, boxed. If its readiness failed or panicked in the background it is lost, and after that error
//! `poll_ready` fails with [`Lost`].
//!
//! # Panics
//!
//! `poll_ready` panics outside of a tokio runtime if the inner service is pending.

pub mod future;
mod layer;
mod service;

pub use self::layer::SpawnReadyLayer;
pub use self::service::{Lost, SpawnReady};
