//! Middleware that refuses the requests that a limit would make wait: at once, or after a maximum wait.
//!
//! A [`ConcurrencyLimit`](crate::ConcurrencyLimit) and a [`RateLimit`](crate::RateLimit) make callers wait, as long as it takes.
//! Their `shed` and `max_wait`, and those of their layers, wrap them in a [`Refuse`], which fails the request with a
//! [`LimitExceeded`](crate::error::LimitExceeded) that says which limit it was and when to come back.
//!
//! Use `shed` where the caller can try elsewhere or has to be told, such as a client with a quota; `max_wait` where short bursts
//! are normal, with a fraction of the time that the caller would wait for the response. A
//! [`LoadShed`](crate::load_shed::LoadShed) in its place refuses also if the service below the limit is not ready for another
//! reason, for instance while it connects; a `Refuse` waits for that.
//!
//! It is a service of its own because its error is a [`BoxError`](crate::BoxError): those of tower 0.5's limits, which never
//! refuse, are the inner service's.
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use std::{convert::Infallible, time::Duration};
//! use tokio::time::{Instant, sleep};
//! use tower_layer::Layer;
//! use tower_limit::error::{LimitExceeded, LimitKind};
//! use tower_limit::{ConcurrencyLimitLayer, GlobalRateLimitLayer};
//! use tower_util::{ServiceExt, service_fn};
//!
//! let slow = service_fn(|()| async {
//!     sleep(Duration::from_secs(1)).await;
//!     Ok::<_, Infallible>(())
//! });
//!
//! // Two requests per minute, and no more.
//! let layer = GlobalRateLimitLayer::new(2, Duration::from_secs(60)).shed();
//! for _ in 0..2 {
//!     layer.layer(slow).oneshot(()).await.unwrap();
//! }
//! let error = layer.layer(slow).oneshot(()).await.unwrap_err();
//! let refused = error.downcast_ref::<LimitExceeded>().unwrap();
//! assert_eq!(refused.limit(), LimitKind::Rate);
//! assert_eq!(refused.retry_after(), Some(Duration::from_secs(60 - 1)));
//!
//! // One request at a time, for which others wait for 100 ms.
//! let service = ConcurrencyLimitLayer::new(1).max_wait(Duration::from_millis(100)).layer(slow);
//! let first = tokio::spawn(service.clone().oneshot(()));
//! tokio::task::yield_now().await;
//! let began = Instant::now();
//! assert!(service.oneshot(()).await.unwrap_err().is::<LimitExceeded>());
//! assert_eq!(began.elapsed(), Duration::from_millis(100));
//! # first.await.unwrap().unwrap();
//! # }
//! ```
//!
//! # Readiness
//!
//! `poll_ready` polls the limit. With `shed` it is ready at once if the limit is reached, and `call` refuses; with `max_wait` it
//! is, when the wait is over. A wait begins with the first `poll_ready` that finds the limit reached, and ends with a call. If a
//! rate will not admit a request within the maximum wait, it is refused without waiting. When a request is refused, all that the
//! services below have reserved for it is released, and the handle leaves their queues. The wait for the service below the limit
//! is not bounded.
//!
//! While no request is there ([`Purpose::Drive`](tower_readiness::Purpose)), `max_wait` is as ready as the limit. A balancer
//! polls no endpoint that was not ready, and so it may make a request wait for longer: put the limit above the balancer.
//!
//! # Cancellation
//!
//! That of the limit. A handle that is dropped while it waits leaves the queue.
//!
//! # Errors
//!
//! A [`BoxError`](crate::BoxError) with either a [`LimitExceeded`](crate::error::LimitExceeded) or the inner service's error.
//!
//! # Clone
//!
//! Clones share the limit and the observer. Each waits for itself.
//!
//! # Cost
//!
//! An admitted request costs some 10 ns more than the limit: two branches, and a larger future. A refused one takes an atomic
//! read with a concurrency limit, a short lock and a clock reading with a rate, and the box of its error. A wait takes a timer,
//! which the handle reuses.

pub mod future;
mod layer;
mod service;

pub use self::layer::RefuseLayer;
pub(crate) use self::layer::{refusing_layer, refusing_service};
pub use self::service::Refuse;

/// A limit that [`Refuse`] can wrap: [`ConcurrencyLimit`](crate::ConcurrencyLimit) and [`RateLimit`](crate::RateLimit). Sealed.
pub trait Limit: reserve::Reserve {}

pub(crate) mod reserve {
    use std::task::{Context, Poll};

    use tokio::time::Instant;

    use crate::error::LimitKind;

    #[allow(unnameable_types, reason = "seals `Limit`")]
    /// How to reserve what a request needs of a limit, before the service below is polled.
    pub trait Reserve {
        const KIND: LimitKind;

        /// Reserves it, unless that has been done. If the limit is reached, returns when it is not, if known.
        fn try_reserve(&mut self) -> Result<(), Option<Instant>>;

        /// Reserves it, or waits.
        fn poll_reserve(&mut self, cx: &mut Context<'_>) -> Poll<()>;

        /// Like [`try_reserve`](Self::try_reserve), but reserves nothing.
        fn peek(&mut self) -> Result<(), Option<Instant>>;
    }
}
