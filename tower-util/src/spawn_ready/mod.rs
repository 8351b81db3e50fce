//! Middleware that drives a service to readiness in a background task.
//!
//! Some services make progress only while their readiness is polled, for example when connecting. [`SpawnReady`] polls
//! them in the background, so that they become ready even if the caller stops polling, until it is dropped.
//!
//! It spawns a task each time that the service is not ready. For a service that is often not ready, use a buffer
//! instead: its single worker drives the service all the time.
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
//! That of the inner service. When it is pending, a task is spawned, which ends when the service is ready or has
//! failed, or when the `SpawnReady` is dropped. The task drives the service but reserves nothing: the permit of a
//! concurrency limit, for example, is acquired when the caller polls again, which may have to wait for it.
//!
//! # Errors
//!
//! The inner service's, boxed. If its readiness failed, or panicked in the background, the service is dropped; after
//! that error, `poll_ready` fails with [`Lost`].
//!
//! # Panics
//!
//! `poll_ready` panics outside of a tokio runtime if the inner service is pending.

pub mod future;
mod layer;
mod service;

pub use self::layer::SpawnReadyLayer;
pub use self::service::{Lost, SpawnReady};
