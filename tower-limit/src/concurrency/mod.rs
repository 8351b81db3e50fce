//! Middleware that limits the number of in-flight requests.
//!
//! Further requests wait, first come, first served; with [`shed`](ConcurrencyLimit::shed) or
//! [`max_wait`](ConcurrencyLimit::max_wait) they are [refused](crate::refuse) instead.
//!
//! Use it to protect a resource that gets slower under concurrent use, such as a database, a pool or memory. Do not use it to
//! enforce a number of requests per second: that is a [`RateLimit`](crate::RateLimit). [`ConcurrencyLimitLayer`] gives each
//! service that it wraps its own limit; if a framework applies layers for each route or connection, as axum does, use
//! [`GlobalConcurrencyLimitLayer`] for a single limit.
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
//! `poll_ready` first takes a permit, then polls the inner service. A handle that is ready holds its permit until `call`, or
//! until it is dropped. If the inner service is not ready, the permit is returned. An idle
//! [`Buffer`](https://docs.rs/tower/latest/tower/buffer) above the limit holds no permit, and a filter above it returns the
//! permit of a request that it rejects.
//!
//! # Fairness
//!
//! Returning a permit wakes the longest waiter, but the first handle to poll takes it. A waiter that is never polled again does
//! not block the others: handles that poll get the permit, and within a tokio runtime the waiters behind it are woken a few
//! scheduler turns later. A woken waiter that finds the permit taken has priority over new handles for the next one.
//!
//! If neither the waiter nor the task that returns the permit runs in a tokio runtime, there is no such fallback: the next
//! waiter is woken only when another handle has taken the permit and returned it, or when the woken handle is dropped. On other
//! executors, poll or drop every handle that is woken.
//!
//! # Cancellation
//!
//! The permit is returned as soon as the response is ready, or when the response future is dropped. With the feature `http`,
//! `hold_until_body_end` keeps it until the body of the response has ended.
//!
//! # Differences from tower 0.5
//!
//! - A returned permit is not assigned to the longest waiter; it only wakes that waiter: see [Fairness](#fairness).
//! - Permits of a [`Semaphore`](tokio::sync::Semaphore) are taken by `try_acquire`: a waiter is not in the semaphore's own
//!   queue, where an assigned permit is lost until the waiter polls.
//! - The permit is returned when the response is ready, not when the response future is dropped afterwards.
//! - No permit is held while the inner service is not ready.
//! - The task's cooperative budget is neither checked nor used up.

mod counted;
pub mod future;
mod layer;
mod permits;
mod pool;
mod queue;
#[cfg(feature = "adaptive")]
mod resizable;
mod semaphore;
mod service;
mod watch;

pub use self::layer::{ConcurrencyLimitLayer, GlobalConcurrencyLimitLayer};
#[cfg(feature = "adaptive")]
pub(crate) use self::resizable::ResizablePermits;
pub use self::service::ConcurrencyLimit;
