//! Polls the readiness of a service without having a request for it.
//!
//! `Service::poll_ready` does two things at once: it lets the service make progress (connect, hear of endpoints), and it
//! reserves what the next request needs (a permit of a limit, a slot in a queue). Some layers want only one of them:
//!
//! - [`drive`]: a layer that keeps a service going while there is no request, such as the worker of a buffer. It must not
//!   reserve what other callers of a shared limit could use.
//! - [`release`]: a layer that became ready and then does not call, such as a filter that rejects the request. What was
//!   reserved for the request must not stay reserved until the next one.
//!
//! Both poll `poll_ready` as usual, and say why in a thread-local [`Purpose`]. Layers in between need no change. Layers
//! that reserve something, such as `ConcurrencyLimit`, `RateLimit` and `Buffer` of this family, look at
//! [`Purpose::current`]. A service that does not know of it behaves as it always does.
//!
//! Use this crate to write a layer that reserves capacity, or one that polls services in the background. Users of the
//! layers do not meet it.
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
//! unless the feature `tracing` is enabled: without it no crate of `tracing` is compiled.
//!
//! # Cost
//!
//! [`Purpose::current`] reads one thread-local byte.

mod refusal;
pub mod trace;

use std::cell::Cell;
use std::task::{Context, Poll};

use tower_service::Service;

pub use self::refusal::Refusal;

/// An error of any type.
///
/// Every crate of the family has this very item as its own `BoxError`, so that a name that comes from two of them by globs is
/// not ambiguous.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a service's readiness is polled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Purpose {
    /// To call the service next. What the request needs must be reserved. This holds wherever nothing else is said.
    #[default]
    Call,
    /// To let the service make progress. It must reserve nothing, and must give back what it had reserved. The answer
    /// tells whether it could have been reserved. The service must be polled again for [`Call`](Self::Call) before it is
    /// called.
    Drive,
    /// To have the service give back what it had reserved, and no longer wait for more. The waker of this poll may wake
    /// nothing: a service that waits for wake-ups of its own, such as those of its discovery, must keep the waker that it
    /// has. The answer means nothing unless it is an error.
    Release,
}

impl Purpose {
    /// The purpose of the poll that runs on this thread.
    #[inline]
    pub fn current() -> Self {
        CURRENT.get()
    }

    /// Runs `poll` for this purpose.
    ///
    /// A layer whose poll runs the tasks of others within it restores [`Call`](Self::Call) for them with this.
    pub fn run<T>(self, poll: impl FnOnce() -> T) -> T {
        /// Restores the purpose, also when `poll` panics.
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
/// Wake-ups go to the task of `cx`, as with `poll_ready`. `Ready(Ok(()))` does not mean that the service may be called:
/// it must be polled again for that.
///
/// # Errors
///
/// The error of the service's readiness: it has failed, and must not be used again.
pub fn drive<S, Req>(service: &mut S, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>>
where
    S: Service<Req> + ?Sized,
{
    Purpose::Drive.run(|| service.poll_ready(cx))
}

/// Has `service` give back what it reserved when it was polled last, and leave the queues in which it waits.
///
/// For a layer that learns only in `call` that it will not use what it reserved, there is [`Refusal`].
///
/// # Errors
///
/// The error of the service's readiness: it has failed, and must not be used again.
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
