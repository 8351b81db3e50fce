//! Polls a service for readiness without a request.
//!
//! `Service::poll_ready` does two things: it lets the service make progress (connect, receive changes of discovery), and it
//! reserves what the next request needs (a permit of a limit, a slot in a queue). Some layers need only one of them:
//!
//! - [`drive`] is for layers that let a service make progress while there is no request, such as the worker of a buffer. They
//!   must not reserve what other callers of a shared limit could use.
//! - [`release`] is for layers that became ready and then do not call the service, such as a filter that rejects the request.
//!   What was reserved for that request must not stay reserved until the next one.
//!
//! Both call `poll_ready` as usual, and set a thread-local [`Purpose`] meanwhile. Layers in between need no change. Layers that
//! reserve something, such as `ConcurrencyLimit`, `RateLimit` and `Buffer` of this family, check [`Purpose::current`]. A service
//! that does not check it behaves as in any other poll.
//!
//! Use this crate to write a layer that reserves capacity, or one that polls services in the background. Users of the layers do
//! not need it.
//!
//! # Example
//!
//! A layer with one slot, which it reserves only for requests:
//!
//! ```
//! use std::convert::Infallible;
//! use std::future::{Ready, ready};
//! use std::task::{Context, Poll, Waker};
//! use tower_readiness::{Purpose, drive, release};
//! use tower_service::Service;
//!
//! #[derive(Default)]
//! struct OneSlot {
//!     reserved: bool,
//! }
//!
//! impl Service<()> for OneSlot {
//!     type Response = ();
//!     type Error = Infallible;
//!     type Future = Ready<Result<(), Infallible>>;
//!
//!     fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
//!         self.reserved = Purpose::current() == Purpose::Call;
//!         Poll::Ready(Ok(()))
//!     }
//!
//!     fn call(&mut self, (): ()) -> Self::Future {
//!         self.reserved = false;
//!         ready(Ok(()))
//!     }
//! }
//!
//! let mut service = OneSlot::default();
//! let cx = &mut Context::from_waker(Waker::noop());
//! assert!(drive(&mut service, cx).is_ready() && !service.reserved);
//! assert!(service.poll_ready(cx).is_ready() && service.reserved);
//! release(&mut service, cx).unwrap();
//! assert!(!service.reserved);
//! ```
//!
//! # Events
//!
//! The layers of the family emit their `tracing` events with [`event!`] and enter the spans of [`trace`]. Both do nothing
//! unless the feature `tracing` is enabled: without it no crate of `tracing` is compiled. A layer's `on_event` takes a closure
//! for its own type of event, which implements [`LayerEvent`]; [`Observer`] holds the closure.
//!
//! # Mutexes
//!
//! [`ignore_poison`] is how the layers of the family lock a mutex.
//!
//! # Errors
//!
//! [`drive`] and [`release`] return the error of `poll_ready`: the service has failed then, and must not be used again.
//!
//! # Cost
//!
//! [`Purpose::current`] reads one thread-local byte. [`drive`] and [`release`] write it twice. Nothing is allocated.

mod observe;
mod poison;
mod refusal;
pub mod trace;

use std::cell::Cell;
use std::task::{Context, Poll};

use tower_service::Service;

pub use self::observe::{LayerEvent, Observer};
pub use self::poison::ignore_poison;
pub use self::refusal::Refusal;

/// A boxed error of any type.
///
/// All crates of the family re-export this item as their `BoxError`, so that glob imports from two of them are not ambiguous.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a service is polled for readiness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Purpose {
    /// To call the service next: it must reserve what the request needs. This is the default.
    #[default]
    Call,
    /// To let the service make progress. It must reserve nothing, and must release what it has reserved. The result says whether a
    /// reservation would have been possible. Before a call, the service must be polled again with [`Call`](Self::Call).
    Drive,
    /// To make the service release what it has reserved, and leave the queues in which it waits. The waker of this poll may be a
    /// no-op: a service that waits for other wake-ups, such as those of its discovery, must keep the waker that it has. The result
    /// has no meaning unless it is an error.
    Release,
}

impl Purpose {
    /// Returns the purpose of the current poll on this thread.
    #[inline]
    pub fn current() -> Self {
        CURRENT.get()
    }

    /// Calls `poll` with this purpose, and restores the previous one afterwards, also if `poll` panics.
    ///
    /// A layer that runs the polls of other callers within its own must use this to set [`Call`](Self::Call) for them.
    pub fn run<T>(self, poll: impl FnOnce() -> T) -> T {
        /// Restores the purpose when it is dropped.
        struct Restore(Purpose);

        impl Drop for Restore {
            fn drop(&mut self) {
                CURRENT.set(self.0);
            }
        }

        let _restore = Restore(CURRENT.replace(self));
        poll()
    }
}

/// Lets `service` make progress, without reserving anything.
///
/// The task of `cx` is woken as with `poll_ready`. After `Ready(Ok(()))` the service must not be called: it must be polled with
/// `poll_ready` first.
///
/// # Errors
///
/// The error of the service's `poll_ready`: it has failed, and must not be used again.
pub fn drive<S, Req>(service: &mut S, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>>
where
    S: Service<Req> + ?Sized,
{
    Purpose::Drive.run(|| service.poll_ready(cx))
}

/// Makes `service` release what it has reserved, and leave the queues in which it waits.
///
/// A layer that finds out only in `call` that it does not need the reservation can use [`Refusal`].
///
/// # Errors
///
/// The error of the service's `poll_ready`: it has failed, and must not be used again.
pub fn release<S, Req>(service: &mut S, cx: &mut Context<'_>) -> Result<(), S::Error>
where
    S: Service<Req> + ?Sized,
{
    match Purpose::Release.run(|| service.poll_ready(cx)) {
        Poll::Ready(result) => result,
        Poll::Pending => Ok(()),
    }
}

thread_local! {
    static CURRENT: Cell<Purpose> = const { Cell::new(Purpose::Call) };
}
