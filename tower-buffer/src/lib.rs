//! Middleware that puts a bounded queue in front of a service, which makes it `Clone` and lets many tasks share it.
//!
//! Each [`Buffer`] is a handle to the service and its queue. As long as nothing is queued and the service is ready, a caller
//! calls it himself. Otherwise the request is queued: a worker task takes the requests in the order in which they came,
//! calls the service when that is ready, and hands the response future back, so that responses are awaited by the callers
//! and not by the worker.
//!
//! Use it to share a service that cannot be cloned, or to have one driven in the background: the worker polls the
//! service whenever it asks for it, also while there are no requests, so that below it connections are made and lost
//! ones noticed. Do not use it to store up work: what is queued waits, and a long queue means long waits. A service that
//! may stay unavailable belongs behind a [`fail_fast`] layer, which keeps the queue from waiting for nothing.
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tower_buffer::BoxError> {
//! use std::convert::Infallible;
//! use std::future::{Ready, poll_fn, ready};
//! use std::task::{Context, Poll};
//! use tower_buffer::Buffer;
//! use tower_service::Service;
//!
//! /// Numbers the requests. Two of them would begin at zero each, so that it cannot just be cloned.
//! struct Counter(u32);
//!
//! impl Service<()> for Counter {
//!     type Response = u32;
//!     type Error = Infallible;
//!     type Future = Ready<Result<u32, Infallible>>;
//!
//!     fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
//!         Poll::Ready(Ok(()))
//!     }
//!
//!     fn call(&mut self, (): ()) -> Self::Future {
//!         self.0 += 1;
//!         ready(Ok(self.0))
//!     }
//! }
//!
//! let buffer = Buffer::new(Counter(0), 16);
//! for expected in [1, 2] {
//!     let mut clone = buffer.clone();
//!     poll_fn(|cx| clone.poll_ready(cx)).await?;
//!     assert_eq!(clone.call(()).await?, expected);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Readiness
//!
//! While nothing is queued, `poll_ready` only promises a place, and what is called without waiting takes none. Otherwise it
//! reserves a place in the queue, of which there are as many as the bound says. Whoever was promised one and has to queue
//! after all takes a place beyond the bound if there is none: so the queue grows beyond it by the handles that became ready
//! before it filled, at most. Places are given in the order in which they were asked for. A place is free again when the worker takes its request, of which it has one in
//! hand while the service is not ready; when the response
//! future is dropped before that, or when the `Buffer` is dropped without a call. When all places are with handles that do
//! not use them while the worker has nothing to do, one who waits gets a place beyond the bound: so handles that were
//! ready once and stand idle do not block the others, and the queue grows by their number at most.
//!
//! The worker polls the service once at the start, whenever a request waits, and whenever the service has woken it. While no
//! request waits it only [drives](tower_readiness::drive) the service: layers of this family below reserve nothing then, so
//! an idle buffer takes no permit of a limit that it shares with others.
//!
//! A handle that waited for a place and never comes back holds up no other for long: once the worker has nothing to do, the
//! next one gets a place beyond the bound.
//!
//! # Cancellation
//!
//! Dropping the response future removes the request from the queue at once, with all that it holds. If the service has
//! been called already, the service's own future is dropped. When all `Buffer`s are gone, the worker finishes what is
//! queued and ends.
//!
//! # Errors
//!
//! A [`BoxError`] with the error of the request, or
//! - [`error::ServiceError`] if the service failed to be ready or panicked: then it is dropped, and all that is queued
//!   and all later requests fail. [`source`](std::error::Error::source) tells the reason; for a panic it is
//!   [`error::Panicked`].
//! - [`error::Closed`] if the worker was dropped, for instance because the runtime shuts down.
//!
//! # Clone
//!
//! Clones share the queue. A clone has no place in it, whatever its original has.
//!
//! # Cost
//!
//! A request that finds nothing queued and the service ready takes two atomic operations. Only callers in the worker's
//! runtime call the service themselves, as it may need that; and who finds another inside waits for some
//! microseconds before he queues, less if that was of no use before. A request that is queued takes a mutex a few times, and a
//! switch to the worker task and back. Nothing is allocated once the queue has grown to its length.
//!
//! # Differences from tower 0.5
//!
//! - Callers call the service themselves when nobody is before them: in their task and its span, and not in the worker's.
//! - The service is driven also while there are no requests.
//! - A cancelled request leaves the queue at once, and not when its turn comes.
//! - Handles that are ready and do not call do not block the others for ever.
//! - The service is dropped at once when it fails, and a panic is reported to the callers.
//! - Waiting for a place does not use up the task's cooperative budget, so that load shedding above a buffer with free
//!   places does not refuse anything.

mod driver;
pub mod error;
pub mod fail_fast;
pub mod future;
mod gate;
mod home;
mod layer;
#[cfg(all(test, tower_loom))]
mod loom_tests;
mod places;
mod queue;
mod service;
mod shared;
mod sync;
mod ticket;
mod turn;
mod wake_list;
mod wakes;
mod worker;

pub use self::layer::BufferLayer;
pub use self::service::Buffer;
pub use self::worker::Worker;

/// An error of any type: the inner service's, or one of [`error`].
#[doc(inline)]
pub use tower_readiness::BoxError;
