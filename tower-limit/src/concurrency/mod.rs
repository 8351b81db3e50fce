//! Middleware that lets at most so many requests be in flight at a time.
//!
//! The rest wait, first come, first served; put a [`LoadShed`](crate::load_shed::LoadShed) around it to refuse them
//! instead.
//!
//! Use it to protect what gets slower the more it has to do at a time: a database, a pool, memory. Do not use it to keep
//! to a quota per second, for which there is a [`RateLimit`](crate::RateLimit). [`ConcurrencyLimitLayer`] gives each
//! service that it wraps a limit of its own; where a framework applies layers anew for each route or connection, as axum
//! does, one limit for all takes a [`GlobalConcurrencyLimitLayer`].
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use std::{convert::Infallible, time::Duration};
//! use tokio::time::{Instant, sleep};
//! use tower_limit::ConcurrencyLimit;
//! use tower_util::{ServiceExt, service_fn};
//!
//! let slow = service_fn(|()| async {
//!     sleep(Duration::from_secs(1)).await;
//!     Ok::<_, Infallible>(())
//! });
//! let service = ConcurrencyLimit::new(slow, 2);
//! let began = Instant::now();
//! let requests = (0..4).map(|_| tokio::spawn(service.clone().oneshot(())));
//! for response in requests.collect::<Vec<_>>() {
//!     response.await.unwrap().unwrap();
//! }
//! assert_eq!(began.elapsed(), Duration::from_secs(2)); // two at a time
//! # }
//! ```
//!
//! # Readiness
//!
//! First a permit, then the inner service's. A handle that is ready has a permit until it calls, or is dropped. While
//! the inner service is not ready, the permit is given back. So is one for which there is no request: a
//! [`Buffer`](https://docs.rs/tower/latest/tower/buffer) above takes none while it is idle, and a filter above keeps none
//! for a request that it rejects.
//!
//! # Fairness
//!
//! A free permit is offered to the handle that has waited longest, and taken by whichever handle asks first. A handle that
//! was told to wait and never asks again holds up no other: those that ask get the permit, and within a tokio runtime those
//! that sleep behind it are woken some turns of the scheduler later. A handle that came for a permit and found it taken is
//! let pass by newcomers the next time.
//!
//! If neither the handle that sleeps nor whoever gives the permit back is in a tokio runtime, nothing wakes the next handle by
//! itself: it is woken when another one has taken the permit and given it back, or when the handle that was told is dropped.
//! Use an executor beside tokio's only if each handle that waits is polled again when it is woken, or dropped.
//!
//! # Cancellation
//!
//! The permit is given back as soon as the response is ready, or when its future is dropped.
//!
//! # Differences from tower 0.5
//!
//! - A free permit is not kept for the handle that has waited longest, but offered to it; see [Fairness](#fairness).
//! - Permits of a [`Semaphore`](tokio::sync::Semaphore) are taken by `try_acquire`: a handle that waits is not in the
//!   semaphore's own queue, where it would keep the permit that it is given.
//! - The permit is given back with the response, and not when its future is dropped after it.
//! - An inner service that is not ready keeps no permits.
//! - The task's cooperative budget is left alone.

mod counted;
pub mod future;
mod layer;
mod permits;
mod queue;
mod semaphore;
mod service;
mod watch;

pub use self::layer::{ConcurrencyLimitLayer, GlobalConcurrencyLimitLayer};
pub use self::service::ConcurrencyLimit;
