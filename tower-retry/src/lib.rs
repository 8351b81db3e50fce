//! Middleware that retries failed requests according to a [`Policy`].
//!
//! [`RetryPolicy`] suits most services: it has a maximum number of attempts, a [backoff], and a [budget] that limits retries to a
//! fraction of the requests, so that they do not overload a service that is down. For HTTP and gRPC, the module `http`, behind
//! the feature of that name, decides which requests may be retried and replays their bodies. For other rules, implement
//! [`Policy`].
//!
//! Retry only requests that are safe to repeat. Put the retry inside a timeout that limits all attempts together, and outside
//! the balancer, so that the next attempt goes to another endpoint.
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
//! That of the inner service, which is used for the first attempt. Each further attempt uses a new clone of it, and waits until
//! that is ready.
//!
//! # Cancellation
//!
//! Dropping the response future drops the current attempt, and no further one is made.
//!
//! # Errors
//!
//! The inner service's. If a further attempt fails because `poll_ready` returns an error, the policy decides about that error as
//! well; the failed clone is dropped, and not polled again.
//!
//! # Clone
//!
//! Each request has its own clone of the policy. State that all requests share, such as the budget, must be in an `Arc`, as it is
//! in a [`RetryPolicy`].
//!
//! # Cost
//!
//! Per request, a clone of the policy and, if the policy clones the request, one of the request and one of the service; per
//! further attempt, another clone of the service.
//!
//! With a [`RetryPolicy`] and a [`TpsBudget`](budget::TpsBudget), a request whose first attempt succeeds makes three atomic
//! additions and takes no lock. One is to the budget, which all requests share. Two are to a reference count that each clone of
//! the service has for itself: it is allocated with the clone's second request. So threads that have a clone each contend only
//! for the budget's cache line.
//!
//! # Differences from tower 0.5
//!
//! - [`Policy::clone_request`] is called on the request's own clone of the policy, so state that it changes is not shared by
//!   accident.
//! - The policy decides about errors of `poll_ready` between attempts. In tower 0.5 they end the request.
//! - If the request is not cloned, neither is the service.
//! - A policy may give up an attempt that takes too long ([`Policy::poll_give_up`]), and a budget may count failures that are not
//!   retried ([`budget::FailureBudget`]).

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
