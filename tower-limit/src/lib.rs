//! Middleware that limits the requests to a service.
//!
//! - [`ConcurrencyLimit`] limits the number of in-flight requests.
//! - [`RateLimit`] limits the number of requests per period: by a window, of which all may be sent at once, or by a token bucket
//!   with a burst of its own.
//! - [`weighted`] limits the in-flight requests by their weight.
//! - [`keyed`] limits the rate or the in-flight requests of each client, or of whatever else is found in a request.
//! - [`LoadShed`](load_shed::LoadShed) returns an error at once when the service below it would make the caller wait.
//! - `AdaptiveConcurrencyLimit` limits the in-flight requests to what the service can do, which it learns from their latencies: the
//!   module `adaptive`, behind the feature of that name.
//!
//! The first two make callers wait. With `shed` and `max_wait` they [`refuse`] requests, with an error that says when to come back;
//! the others can do so by themselves. The `http` module, behind the feature of that name, counts requests until their response
//! bodies have ended.
//!
//! A limit is an estimate of what the service can do, and wrong as soon as that changes: measure before you set one, and do not
//! use a limit where a bounded queue is enough.
//!
//! The layers give each service that they wrap its own limit. If a server wraps its service for each connection, as axum does
//! with the layers of a `Router`, each connection has its own limit. Use [`GlobalConcurrencyLimitLayer`] and
//! [`GlobalRateLimitLayer`] for a single limit.
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), tower_limit::BoxError> {
//! use std::convert::Infallible;
//! use std::future::{Pending, pending, poll_fn};
//! use std::task::{Context, Poll};
//! use tower_limit::load_shed::{LoadShed, error::Overloaded};
//! use tower_limit::ConcurrencyLimit;
//! use tower_service::Service;
//!
//! /// Never responds.
//! #[derive(Clone)]
//! struct Stuck;
//!
//! impl Service<()> for Stuck {
//!     type Response = ();
//!     type Error = Infallible;
//!     type Future = Pending<Result<(), Infallible>>;
//!
//!     fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
//!         Poll::Ready(Ok(()))
//!     }
//!
//!     fn call(&mut self, (): ()) -> Self::Future {
//!         pending()
//!     }
//! }
//!
//! let mut service = LoadShed::new(ConcurrencyLimit::new(Stuck, 1));
//! poll_fn(|cx| service.poll_ready(cx)).await?;
//! let stuck = service.call(());
//!
//! let mut other = service.clone();
//! poll_fn(|cx| other.poll_ready(cx)).await?;
//! assert!(other.call(()).await.unwrap_err().is::<Overloaded>());
//!
//! drop(stuck); // returns its permit
//! poll_fn(|cx| other.poll_ready(cx)).await?;
//! let accepted = tokio::time::timeout(std::time::Duration::from_secs(1), other.call(()));
//! assert!(accepted.await.is_err(), "the request is in flight, like the first one");
//! # Ok(())
//! # }
//! ```
//!
//! # Clone
//!
//! Clones share their limit. A clone holds no reservation, even if the original is ready.
//!
//! # Cost
//!
//! Per request, a concurrency limit takes two atomic operations. A rate limit takes one, and for some requests also a short
//! lock and a clock reading ([how often](rate#cost)). Nothing is allocated unless callers have to wait. While several callers
//! wait for a permit, each returned permit takes a short lock, and sometimes a task that lives for a few turns of the scheduler.
//! Load shedding shares no state.
//!
//! All clones write the same atomic word, so threads that use a limit at the same time contend for its cache line. Two threads
//! that do nothing else take about three times as long with a concurrency limit as with a shared counter, if at least 64 permits
//! are free (with fewer, compare-and-swap operations may fail and are repeated), and two and a half times as long with a rate
//! limit; more threads take no longer each. No thread is blocked by that. With [`ConcurrencyLimit::with_semaphore`] each
//! request takes tokio's mutex twice, which is more than ten times slower.

#[cfg(feature = "adaptive")]
pub mod adaptive;
#[cfg(feature = "concurrency")]
pub mod concurrency;
pub mod error;
#[cfg(any(feature = "concurrency", feature = "rate"))]
mod event;
#[cfg(any(feature = "concurrency", feature = "rate"))]
mod hold;
#[cfg(all(feature = "concurrency", feature = "http"))]
pub mod http;
#[cfg(any(feature = "concurrency", feature = "rate"))]
pub mod keyed;
pub mod load_shed;
#[cfg(feature = "rate")]
pub mod rate;
#[cfg(any(feature = "concurrency", feature = "rate"))]
pub mod refuse;
#[cfg(any(feature = "concurrency", feature = "rate"))]
mod sync;
#[cfg(any(feature = "concurrency", feature = "rate"))]
mod timer;
#[cfg(feature = "concurrency")]
pub mod weighted;

#[cfg(feature = "concurrency")]
pub use self::concurrency::{ConcurrencyLimit, ConcurrencyLimitLayer, GlobalConcurrencyLimitLayer};
#[cfg(any(feature = "concurrency", feature = "rate"))]
pub use self::event::Event;
#[cfg(any(feature = "concurrency", feature = "rate"))]
pub use self::hold::HoldPermit;
#[cfg(feature = "rate")]
pub use self::rate::{GlobalRateLimitLayer, RateLimit, RateLimitLayer};

/// A boxed error of any type: the inner service's, [`Overloaded`](load_shed::error::Overloaded), or
/// [`LimitExceeded`](error::LimitExceeded).
#[doc(inline)]
pub use tower_readiness::BoxError;
