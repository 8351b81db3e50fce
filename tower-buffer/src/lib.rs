//! Middleware that puts a bounded queue in front of a service, which makes it `Clone` and lets many tasks share it.
//!
//! Each [`Buffer`] is a handle to the service and its queue. While nothing is queued and the service is ready, the caller
//! calls the service directly. Otherwise the request is queued, and requests are served in the order in which they came, by
//! whichever task uses the service: a caller that has called it serves what was queued in the meantime before it returns, and a
//! worker task does when the service was not ready, or when the queue is long. Responses are awaited by the callers and not
//! by the worker.
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
//! While nothing is queued, `poll_ready` reserves nothing: a request that is called directly needs no place in the queue.
//! Otherwise `poll_ready` reserves one of `bound` places, in the order in which they were asked for, or waits. A handle that
//! was ready before anything was queued and has to queue after all takes a place beyond the bound if there is none; so the
//! queue grows beyond the bound by the number of such handles at most.
//!
//! A place is free again when its request leaves the queue: when the service is called with it, when it is the first and the
//! service is not ready (the request in hand takes no place), when its response future is dropped, or when the `Buffer` is
//! dropped without a call.
//!
//! Handles that have a place and do not use it do not hold up others for long: when all places are with idle handles, a waiting
//! one gets a place beyond the bound. A handle that waited for a place and never comes back does not hold up the next.
//!
//! The worker polls the service once at the start and whenever the service has woken it. While no request waits it only
//! [drives](tower_readiness::drive) the service: layers of this family below reserve nothing then, so an idle buffer takes
//! no permit of a limit that it shares with others.
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
//! On top of the service itself, where "word" is one atomic word that all handles share:
//!
//! | a request | atomic operations | locks | wakes |
//! |---|---|---|---|
//! | finds the service free | 2 on the word: enter, leave | none | none |
//! | finds it in use, and gets it while it spins | the same, and a few reads of the word | none | none |
//! | is queued, and served by a caller or the worker | 3 to 5 on the word, shared with the others of its batch | the queue's 4 times: queued, taken, replied (together with the next taken), fetched | its own task, if that was polled before the reply |
//! | is queued while the service is not ready | the same | once more | the worker, by the service |
//!
//! - A caller that finds the service in use spins for two to five microseconds at most, longer each time it was of use and
//!   shorter each time it was not, down to zero. It does not spin while anything is queued.
//! - A caller that serves the queue makes at most 32 calls for others, and wakes their tasks when it has left the service. If
//!   more is queued, it wakes the worker, which yields after as many.
//! - Only callers in the worker's tokio runtime call the service themselves, as the service may need that runtime. Others
//!   queue, and the worker is woken for them.
//! - Nothing is allocated once the queue has grown to its length.
//!
//! `benches/README.md` has the times, from 1 to 512 callers.
//!
//! # Differences from tower 0.5
//!
//! - Callers call the service directly when nothing is queued: in their task and its span, and not in the worker's.
//!   A caller that serves the queue calls the service in the span of each request, but in its own task.
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
