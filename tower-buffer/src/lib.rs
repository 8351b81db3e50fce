//! Middleware that puts a bounded queue in front of a service, which makes it `Clone` and lets many tasks share it.
//!
//! Each [`Buffer`] is a handle to the service and its queue. While the queue is empty and the service is ready, the caller
//! calls the service directly. Otherwise the request is queued, and queued requests are served first in, first out. A caller
//! that has called the service also serves the requests that were queued meanwhile, before it returns. A worker task serves
//! the rest: when the service was not ready, or when the queue is long. The callers await the responses, not the worker.
//!
//! Use it to share a service that cannot be cloned, or to drive a service in the background: the worker polls the service
//! whenever the service wakes it, even without requests, so that services below it connect, and detect lost connections. Do
//! not use it as a work queue: queued requests add latency. If the service may be unavailable for long, put a [`fail_fast`]
//! layer right below the buffer: it fails the queued requests instead of letting them wait.
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
//! /// Numbers the requests. A clone would have its own count.
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
//! While the queue is empty, `poll_ready` reserves nothing: a request that bypasses the queue needs no slot. Otherwise
//! `poll_ready` reserves one of `bound` slots, or waits for one; handles get slots in the order in which they asked. A handle
//! that became ready while the queue was empty, but has to queue in `call`, may exceed the bound. The queue exceeds it by at
//! most the number of such handles.
//!
//! A slot is released when its request leaves the queue: when the service is called with it, when it is the first and waits
//! for the service to be ready (that one request occupies no slot), or when its response future is dropped. The slot of a
//! `Buffer` that is dropped without a call is released as well.
//!
//! Idle reservations do not block others for long: if all slots are reserved by idle handles, a waiting handle gets an extra
//! slot. A waiter that is woken and never polled again does not block the waiters behind it.
//!
//! The worker polls the service once at the start, and whenever the service has woken it. While the queue is empty it only
//! [drives](tower_readiness::drive) the service: layers of this family below reserve nothing then, so an idle buffer holds no
//! permit of a limit that it shares with others.
//!
//! # Cancellation
//!
//! Dropping the response future removes the request from the queue at once, and drops it. If the service has already been
//! called, the service's future is dropped. When all `Buffer`s are dropped, the worker serves the queued requests and ends.
//!
//! # Errors
//!
//! A [`BoxError`] with the error of the request, or
//! - [`error::ServiceError`] if `poll_ready` of the service failed, or the service panicked: then it is dropped, and all
//!   queued and all later requests fail. [`source`](std::error::Error::source) returns the cause; for a panic it is
//!   [`error::Panicked`].
//! - [`error::Closed`] if the worker was dropped, for example because the runtime shuts down.
//!
//! # Clone
//!
//! Clones share the queue. A clone holds no reservation.
//!
//! # Cost
//!
//! In addition to the cost of the service, where "word" is one atomic word that all handles share:
//!
//! | a request | atomic operations | locks | wakes |
//! |---|---|---|---|
//! | finds the service free | 2 on the word: lock, unlock | none | none |
//! | finds it in use, and gets it while it spins | the same, and a few reads of the word | none | none |
//! | is queued, and served by a caller or the worker | 3 to 5 on the word, once per batch | the queue's 4 times: to enqueue, to dequeue, to store the response (together with the next dequeue), to fetch it | the caller's task, if that was polled before the response was stored |
//! | is queued while the service is not ready | the same | once more | the worker, by the service |
//!
//! - A caller that finds the service in use spins for at most two to five microseconds: the spin limit grows when spinning
//!   succeeds, and shrinks, down to zero, when it does not. It does not spin unless the queue is empty.
//! - A caller that serves the queue makes at most 32 calls for other callers, and wakes their tasks when it has released the
//!   service. If more requests are queued, it wakes the worker, which yields after the same number of calls.
//! - Only callers in the worker's tokio runtime call the service directly, as the service may need that runtime. The requests
//!   of others are queued, and the worker is woken.
//! - Nothing is allocated once the queue has grown to its maximum length.
//!
//! `benches/README.md` has the times, from 1 to 512 callers.
//!
//! # Differences from tower 0.5
//!
//! - While the queue is empty, callers call the service directly: in their own task and its span, not in the worker's.
//!   A caller that serves the queue calls the service in the span of each request, but in its own task.
//! - The service is driven even without requests.
//! - A cancelled request leaves the queue at once, not when it would have been served.
//! - A ready handle that is never called does not block others.
//! - The service is dropped at once when it fails, and a panic is reported to the callers.
//! - Waiting for a slot does not use up the task's cooperative budget, so load shedding above a buffer with free slots rejects
//!   nothing.

mod driver;
pub mod error;
pub mod fail_fast;
pub mod future;
mod layer;
#[cfg(all(test, tower_loom))]
mod loom_tests;
mod queue;
mod runtime;
mod service;
mod service_lock;
mod shared;
mod slots;
mod sync;
mod ticket;
mod turn;
mod wait_list;
mod wake_list;
mod worker;
mod worker_waker;

pub use self::layer::BufferLayer;
pub use self::service::Buffer;
pub use self::worker::Worker;

/// An error of any type: the inner service's, or one of [`error`].
#[doc(inline)]
pub use tower_readiness::BoxError;
