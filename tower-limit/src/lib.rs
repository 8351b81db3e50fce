//! Middleware that limits how many requests a service gets.
//!
//! - [`ConcurrencyLimit`]: at most so many at a time.
//! - [`RateLimit`]: at most so many in a period.
//! - [`LoadShed`](load_shed::LoadShed): where the others make their callers wait, this one answers with an error at once.
//!
//! A limit is a guess at what the service can do, and wrong as soon as that changes: measure before you set it, and do not
//! put one where a queue with a bound would do.
//!
//! The layers give each service that they wrap a limit of its own, which is one per connection where a server wraps its
//! service for each, as axum does with the layers of a `Router`. For one limit for all there are
//! [`GlobalConcurrencyLimitLayer`] and [`GlobalRateLimitLayer`].
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
//! /// Never answers.
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
//! drop(stuck); // gives its permit back
//! poll_fn(|cx| other.poll_ready(cx)).await?;
//! let let_in = tokio::time::timeout(std::time::Duration::from_secs(1), other.call(()));
//! assert!(let_in.await.is_err(), "it is as stuck as the first");
//! # Ok(())
//! # }
//! ```
//!
//! # Clone
//!
//! Clones share their limit, and a clone has reserved nothing.
//!
//! # Cost
//!
//! A concurrency limit takes two atomic operations per request, and a rate limit one, and a short lock and a reading of the
//! clock now and then ([how often](rate#cost)). Nothing is allocated unless callers have to wait. While several wait for a
//! permit, each permit that is given back takes a short lock, and now and then a task that lives for some turns of the
//! scheduler. Load shedding shares nothing.
//!
//! All clones write one word, so threads that use a limit at the same time wait for its cache line: two threads that do
//! nothing else take about three times as long with a concurrency limit as with a counter that they share (of 64 free permits or more;
//! with fewer, comparisons may fail and are made again), two and a half times with a rate limit, and more threads no
//! longer each. Nobody is put to sleep by that. With [`ConcurrencyLimit::with_semaphore`] each request takes tokio's mutex
//! twice, which is more than ten times slower.

#[cfg(feature = "concurrency")]
pub mod concurrency;
pub mod load_shed;
#[cfg(feature = "rate")]
pub mod rate;
#[cfg(any(feature = "concurrency", feature = "rate"))]
mod sync;

#[cfg(feature = "concurrency")]
pub use self::concurrency::{ConcurrencyLimit, ConcurrencyLimitLayer, GlobalConcurrencyLimitLayer};
#[cfg(feature = "rate")]
pub use self::rate::{GlobalRateLimitLayer, RateLimit, RateLimitLayer};

/// An error of any type.
#[doc(inline)]
pub use tower_readiness::BoxError;
