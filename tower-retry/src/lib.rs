//! Middleware that sends a request again when its [`Policy`] says so.
//!
//! [`RetryPolicy`] suits most services: so many attempts, a [backoff], and a [budget] that keeps the retries a fixed share of
//! the requests, so that they do not bury a service that is down. For HTTP and gRPC there is a layer that knows what may be
//! sent twice, and how to send a body again: `http`, behind the feature of that name. And a [`Policy`] of your own may
//! decide as it likes.
//!
//! Retry what is safe to do twice. Put the retries inside of a timeout that bounds all attempts together, and outside of
//! the balancer, so that another endpoint gets the next attempt.
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use tower_retry::{Retry, RetryPolicy};
//! use tower_util::{ServiceExt, service_fn};
//!
//! # let attempts = std::cell::Cell::new(0);
//! # let service = service_fn(|n: u32| {
//! #     attempts.set(attempts.get() + 1);
//! #     std::future::ready(if attempts.get() < 3 { Err("try again") } else { Ok(n + 1) })
//! # });
//! let policy = RetryPolicy::builder()
//!     .attempts(3)
//!     .retry_if(|_: &u32, result: Result<&u32, &&str>| result.is_err_and(|error| *error == "try again"))
//!     .build();
//! assert_eq!(Retry::new(policy, service).oneshot(1).await, Ok(2));
//! # }
//! ```
//!
//! # Readiness
//!
//! That of the inner service, for the first attempt. Each further attempt waits for a fresh clone of it.
//!
//! # Cancellation
//!
//! Dropping the response future ends the attempt that runs, and there is no further one.
//!
//! # Errors
//!
//! The inner service's. When a further attempt fails because the service does not get ready, the policy is asked about
//! that error as well; the clone that has failed is dropped, and is not polled again.
//!
//! # Clone
//!
//! Each request has a clone of the policy. What all requests share, such as the budget, belongs behind an `Arc`; in a
//! [`RetryPolicy`] it is.
//!
//! # Cost
//!
//! A clone of the policy per request, and, if that can clone the request, of the request and the service; and one of the
//! service for each further attempt.
//!
//! With a [`RetryPolicy`] and a [`TpsBudget`](budget::TpsBudget) a request that succeeds at once makes three atomic additions and
//! takes no lock. One is to the budget, which all requests share. Two are to a reference count that each clone of the service
//! has for itself from its second request on, when it allocates it; so threads with a clone each wait only for the budget's
//! cache line.
//!
//! # Differences from tower 0.5
//!
//! - [`Policy::clone_request`] is called on the request's own clone of the policy, so that what it remembers is not shared
//!   by accident.
//! - The policy is asked about errors of readiness between attempts, which end the request in tower 0.5.
//! - Without a cloned request there is no clone of the service either.
//! - A policy may give up an attempt that takes too long ([`Policy::poll_give_up`]), and a budget may want to know of failures that are
//!   not tried again ([`budget::FailureBudget`]).

pub mod budget;
pub mod future;
#[cfg(feature = "http")]
pub mod http;
mod layer;
mod policy;
mod service;
mod standard;
mod sync;

#[doc(inline)]
pub use tower_util::backoff;

pub use self::layer::RetryLayer;
pub use self::policy::Policy;
pub use self::service::Retry;
pub use self::standard::{
    Attempt, AttemptTimer, Builder, CloneRequest, GaveUp, Next, NoTimeout, PerAttempt, RetryIf,
    RetryPolicy, RetryRules, Wait,
};

#[cfg(feature = "http")]
pub(crate) use tower_util::BoxError;
