//! Middleware that limits the requests of each key: client address, tenant, API key, route, or whatever a function finds in the
//! request.
//!
//! [`KeyedLimit`] applies [`KeyRates`], a token bucket per key, or [`KeyPermits`], a number of requests in flight per key.
//! Requests beyond that are refused at once with a [`LimitExceeded`].
//!
//! Use it so that one client cannot take what all share. It does not bound the whole: put a
//! [`ConcurrencyLimit`](crate::ConcurrencyLimit) below it. All services of a layer share its keys, since a client has several
//! connections.
//!
//! Choose keys that a client cannot make up. Addresses of IPv6 should be cut to their first 64 bits, which is what one customer
//! has, and unauthenticated names are no keys.
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use std::{convert::Infallible, time::Duration};
//! use tower_layer::Layer;
//! use tower_limit::error::LimitExceeded;
//! use tower_limit::keyed::{KeyRates, KeyedRateLimitLayer};
//! use tower_limit::rate::{Rate, TokenBucket};
//! use tower_util::{ServiceExt, service_fn};
//!
//! struct Request {
//!     tenant: u64,
//! }
//!
//! // Each tenant may send 10 requests per second, and 2 at once.
//! let bucket = TokenBucket::new(Rate::new(10, Duration::from_secs(1)), 2);
//! let rates = KeyRates::new(bucket, 100_000);
//! let layer = KeyedRateLimitLayer::new(rates.clone(), |request: &Request| request.tenant);
//! let service = layer.layer(service_fn(async |_: Request| Ok::<_, Infallible>("done")));
//!
//! for _ in 0..2 {
//!     service.clone().oneshot(Request { tenant: 1 }).await.unwrap();
//! }
//! let error = service.clone().oneshot(Request { tenant: 1 }).await.unwrap_err();
//! let refused = error.downcast_ref::<LimitExceeded>().unwrap();
//! assert_eq!(refused.retry_after(), Some(Duration::from_millis(100)));
//! assert!(service.oneshot(Request { tenant: 2 }).await.is_ok());
//! assert_eq!(rates.keys(), 2);
//! # }
//! ```
//!
//! # Memory
//!
//! The number of keys is bounded. If there is no room for a new one, another is forgotten, of 64 that are looked at in turn:
//!
//! - [`KeyRates`] forget one whose bucket is full, and lose nothing; or else the one whose bucket is the fullest, which has a full
//!   bucket when it comes back ([`Event::Forgot`]). Keys that were used a few times, such as those that an
//!   attacker makes up, are forgotten before one that is used all the time.
//! - [`KeyPermits`] forget one without requests in flight, and lose nothing. If none of the 64 is, the new key is refused
//!   ([`LimitKind::Keys`](crate::error::LimitKind)): that happens if nearly all keys have requests in flight.
//!
//! A key takes its own size, what it owns on the heap, and at most 24 bytes; keys with an alignment of less than 8 are padded to
//! that. With a `u64` as the key, a million keys take 32 MB at most. The memory grows with the keys that are known at the same
//! time, and is not returned. A shard that grows copies itself: for that time, its keys need room twice.
//!
//! The keys are spread over up to 64 shards with a lock each, at least 64 keys per shard. Since they are not spread evenly, some
//! shards are full before the maximum is reached: choose twice the number of keys that you expect.
//!
//! # Readiness
//!
//! That of the inner service: the key is known only when `call` has the request. When a request is refused, what the inner
//! service has reserved for it is released.
//!
//! # Cancellation
//!
//! A permit is returned when the response is ready, or when the response future is dropped. A token is not returned.
//!
//! # Errors
//!
//! A [`BoxError`](crate::BoxError) with either a [`LimitExceeded`] or the inner service's error.
//!
//! # Clone
//!
//! Clones, and all services of the layer and its clones, share the keys.
//!
//! # Cost
//!
//! A hash of the key and the lock of one of the shards, which is held for a lookup, and a clock reading for a rate. A permit
//! takes the lock again when it is returned, and a reference count. Nothing is allocated for a known key. The hash depends on
//! random numbers of the process, so clients cannot choose keys that collide.

pub mod future;
mod layer;
#[cfg(feature = "concurrency")]
mod permits;
#[cfg(feature = "rate")]
mod rates;
mod service;
mod shards;
mod table;

use std::hash::Hash;

use tower_readiness::Observer;

pub use self::layer::KeyedLimitLayer;
#[cfg(feature = "concurrency")]
pub use self::permits::{KeyPermit, KeyPermits};
#[cfg(feature = "rate")]
pub use self::rates::KeyRates;
pub use self::service::KeyedLimit;
use crate::Event;
use crate::error::LimitExceeded;

/// A limit per key, for [`KeyedLimit`]. Its clones share the limit.
pub trait KeyLimit {
    /// What is limited, each for itself.
    type Key: Hash + Eq;

    /// What a request holds until its response is ready.
    type Permit;

    /// Admits a request of `key`, or refuses it.
    ///
    /// # Errors
    ///
    /// If the limit of this key is reached.
    fn admit(
        &self,
        key: Self::Key,
        observer: &Observer<Event>,
    ) -> Result<Self::Permit, LimitExceeded>;
}

/// Limits the rate of each key `K`, which the function `F` finds in a request.
#[cfg(feature = "rate")]
pub type KeyedRateLimit<S, F, K> = KeyedLimit<S, F, KeyRates<K>>;

/// Wraps services in [`KeyedRateLimit`].
#[cfg(feature = "rate")]
pub type KeyedRateLimitLayer<F, K> = KeyedLimitLayer<F, KeyRates<K>>;

/// Limits the requests in flight of each key `K`, which the function `F` finds in a request.
#[cfg(feature = "concurrency")]
pub type KeyedConcurrencyLimit<S, F, K> = KeyedLimit<S, F, KeyPermits<K>>;

/// Wraps services in [`KeyedConcurrencyLimit`].
#[cfg(feature = "concurrency")]
pub type KeyedConcurrencyLimitLayer<F, K> = KeyedLimitLayer<F, KeyPermits<K>>;
