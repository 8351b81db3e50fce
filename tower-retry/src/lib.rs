//! Middleware that sends a request again when its [`Policy`] says so.
//!
//! The policy decides about each result, by the request and by what it remembers of the attempts before; the middleware
//! waits for as long as it is told and tries again. What a policy needs is here: [`backoff`] says how long to wait, and a
//! [`budget`] keeps the retries a fixed share of the requests, so that they do not bury a service that is down.
//!
//! Retry what is safe to do twice. Put the retries inside of a timeout that bounds all attempts together, and outside of
//! the balancer, so that another endpoint gets the next attempt.
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use std::sync::Arc;
//! use tower_retry::backoff::{Backoff, ExponentialBackoff, ExponentialBackoffMaker, MakeBackoff};
//! use tower_retry::budget::{Budget, TpsBudget};
//! use tower_retry::{Policy, Retry};
//! use tower_util::{ServiceExt, service_fn};
//!
//! /// Tries again after any error, while there are attempts left and the budget allows it.
//! #[derive(Clone)]
//! struct Attempts {
//!     left: usize,
//!     backoff: ExponentialBackoff,
//!     budget: Arc<TpsBudget>,
//! }
//!
//! impl<Req: Clone, Res, E> Policy<Req, Res, E> for Attempts {
//!     type Future = <ExponentialBackoff as Backoff>::Future;
//!
//!     fn retry(&mut self, _request: &mut Req, result: &mut Result<Res, E>) -> Option<Self::Future> {
//!         if result.is_ok() {
//!             self.budget.deposit();
//!             return None;
//!         }
//!         self.left = self.left.checked_sub(1)?;
//!         self.budget.withdraw().then(|| self.backoff.next_backoff())
//!     }
//!
//!     fn clone_request(&mut self, request: &Req) -> Option<Req> {
//!         Some(request.clone())
//!     }
//! }
//!
//! let policy = Attempts {
//!     left: 2,
//!     backoff: ExponentialBackoffMaker::default().make_backoff(),
//!     budget: Arc::new(TpsBudget::default()),
//! };
//! let attempts = &std::cell::Cell::new(0);
//! let service = service_fn(move |n: u32| {
//!     attempts.set(attempts.get() + 1);
//!     std::future::ready(if attempts.get() < 3 { Err("try again") } else { Ok(n + 1) })
//! });
//! assert_eq!(Retry::new(policy, service).oneshot(1).await, Ok(2));
//! # }
//! ```
//!
//! # Readiness
//!
//! That of the inner service, for the first attempt. A further attempt waits for a clone of it.
//!
//! # Cancellation
//!
//! Dropping the response future ends the attempt that runs, and there is no further one.
//!
//! # Errors
//!
//! The inner service's. When a further attempt fails because the service does not get ready, the policy is asked about
//! that error as well.
//!
//! # Clone
//!
//! Each request has a clone of the policy. What all requests share, such as the budget, belongs behind an `Arc`.
//!
//! # Cost
//!
//! A clone of the policy per request, and, if that can clone the request, of the request and the service.
//!
//! # Differences from tower 0.5
//!
//! - [`Policy::clone_request`] is called on the request's own clone of the policy, so that what it remembers is not shared
//!   by accident.
//! - The policy is asked about errors of readiness between attempts, which end the request in tower 0.5.
//! - Without a cloned request there is no clone of the service either.

pub mod budget;
pub mod future;
mod layer;
mod policy;
mod service;

#[doc(inline)]
pub use tower_util::backoff;

pub use self::layer::RetryLayer;
pub use self::policy::Policy;
pub use self::service::Retry;
