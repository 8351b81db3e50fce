//! Middleware that limits the requests in flight by their weight.
//!
//! [`WeightedConcurrencyLimit`] has a number of permits, of which a request takes as many as a function says: for instance the
//! megabytes of an upload, or 10 for a report and 1 for a lookup. A request whose weight exceeds the maximum counts as the
//! maximum: it runs alone. A weight of zero is not limited.
//!
//! Further requests wait, in the order in which they were called: a heavy request is not overtaken by lighter ones, and so it is
//! not starved; neither are those behind it served while it waits. With `shed` and `max_wait` requests are refused instead, as
//! with a [`Refuse`](crate::refuse). If all requests weigh the same, a [`ConcurrencyLimit`](crate::ConcurrencyLimit) is simpler,
//! and makes callers wait in `poll_ready`, where a balancer or a buffer sees it.
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use std::{convert::Infallible, time::Duration};
//! use tokio::time::{Instant, sleep};
//! use tower_layer::Layer;
//! use tower_limit::weighted::WeightedConcurrencyLimitLayer;
//! use tower_util::{ServiceExt, service_fn};
//!
//! let slow = service_fn(async |_megabytes: u32| {
//!     sleep(Duration::from_secs(1)).await;
//!     Ok::<_, Infallible>(())
//! });
//! let service = WeightedConcurrencyLimitLayer::new(10, |megabytes: &u32| *megabytes).layer(slow);
//!
//! let began = Instant::now();
//! let uploads = [4, 6, 99, 1].map(|megabytes| tokio::spawn(service.clone().oneshot(megabytes)));
//! for upload in uploads {
//!     upload.await.unwrap().unwrap();
//! }
//! // 4 and 6 at the same time, then the large one, then the last.
//! assert_eq!(began.elapsed(), Duration::from_secs(3));
//! # }
//! ```
//!
//! # Readiness
//!
//! That of the inner service: the weight is known only when `call` has the request. A request that waits does so in the response
//! future, and keeps the ready inner service, which is why that must be `Clone`. So what the inner service has reserved for it
//! stays reserved: put this limit above those that reserve something. When a request is refused, that is released.
//!
//! # Cancellation
//!
//! Dropping the response future leaves the queue, or returns the permits. They are returned as soon as the response is ready; with
//! the feature `http`, `hold_until_body_end` keeps them until its body has ended. Permits are assigned to the waiter whose turn it
//! is, so its future must be polled or dropped, as that of any request in flight.
//!
//! # Errors
//!
//! A [`BoxError`](crate::BoxError) with either a [`LimitExceeded`](crate::error::LimitExceeded) or the inner service's error.
//!
//! # Clone
//!
//! Clones, and all services of the layer and its clones, share the permits.
//!
//! # Cost
//!
//! Two atomic operations on the permits and two on a reference count. A request that waits takes a lock, an entry in the queue,
//! and with `max_wait` a timer.

pub mod future;
mod layer;
mod permits;
mod service;

pub use self::layer::WeightedConcurrencyLimitLayer;
pub use self::service::WeightedConcurrencyLimit;
