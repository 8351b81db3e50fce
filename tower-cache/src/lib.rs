//! Middleware that stores responses and returns clones of them, and [middleware](coalesce) that sends one of the concurrent requests
//! with the same key.
//!
//! [`Cache`] is for any service whose responses are `Clone` and stay valid for a known time. It knows nothing of HTTP's
//! `cache-control`: which requests have a key, and which responses are kept, is what you decide. What the key leaves out, callers
//! share: put the user into the key if the response depends on the user.
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use std::convert::Infallible;
//! use std::time::Duration;
//! use tower_cache::{CacheLayer, Store};
//! use tower_layer::Layer;
//! use tower_util::{ServiceExt, service_fn};
//!
//! struct Get(&'static str);
//!
//! let calls = std::cell::Cell::new(0);
//! let store = Store::new(10_000, Duration::from_secs(60));
//! // Names with a `!` are not cached, nor are empty responses.
//! let key = |request: &Get| (!request.0.contains('!')).then_some(request.0);
//! let layer = CacheLayer::new(store.clone(), key).keep_if(|length: &usize| *length > 0);
//! let service = layer.layer(service_fn(|request: Get| {
//!     calls.set(calls.get() + 1);
//!     async move { Ok::<_, Infallible>(request.0.len()) }
//! }));
//!
//! for _ in 0..3 {
//!     assert_eq!(service.clone().oneshot(Get("seven!!")).await, Ok(7));
//! }
//! assert_eq!(calls.take(), 3);
//! for _ in 0..3 {
//!     assert_eq!(service.clone().oneshot(Get("four")).await, Ok(4));
//! }
//! assert_eq!(calls.take(), 1);
//!
//! store.remove(&"four"); // it is known to be outdated
//! service.clone().oneshot(Get("four")).await.unwrap();
//! assert_eq!(calls.take(), 1);
//! tokio::time::advance(Duration::from_secs(60)).await; // it has expired
//! service.clone().oneshot(Get("four")).await.unwrap();
//! assert_eq!(calls.take(), 1);
//! # }
//! ```
//!
//! # Bounds
//!
//! A [`Store`] has a maximum number of entries, and evicts those that were least recently used. It does not know how large a
//! response is: keep large ones out with [`keep_if`](CacheLayer::keep_if). An entry that has expired is not returned, and stays until
//! it is replaced or evicted.
//!
//! # Concurrent misses
//!
//! Concurrent requests for the same missing entry are all sent. To send one, use [`CoalesceLayer`](coalesce::CoalesceLayer). Below the
//! cache, requests that hit it do not pay for that; a request that comes between the end of a call and the storage of its response
//! makes another call. Above the cache, there is exactly one call, and each request pays.
//!
//! # Readiness
//!
//! Always ready, so that hits are returned also while the inner service is not ready, or fails. A miss is sent to a clone of the
//! service, once that is ready, in the response future. So the service must be `Clone`, and one that has to be driven without
//! requests needs a [`Buffer`](https://docs.rs/tower/latest/tower/buffer) around it. Put a limit or load shedding below this layer.
//!
//! # Cancellation
//!
//! Dropping the response future drops the request; nothing is stored.
//!
//! # Errors
//!
//! Those of the inner service, which are not stored.
//!
//! # Clone
//!
//! Clones, and all services of the layer, share the [`Store`], as do clones of it. They must all respond alike.
//!
//! # Cost
//!
//! A hash of the key, a clock reading and the lock of one of up to 64 shards, held for a lookup; responses are cloned and dropped
//! without a lock. A hit allocates nothing but what the clone of the response does. A miss clones the service, and takes the lock
//! again, and an allocation, to store the response. Which hash is used is not known to clients, so they cannot choose keys that
//! collide.

pub mod coalesce;
pub mod error;
mod event;
pub mod future;
mod keep;
mod layer;
mod lru;
mod service;
mod shards;
mod store;

#[doc(inline)]
pub use tower_readiness::BoxError;

pub use self::event::Event;
pub use self::keep::{Keep, KeepAll};
pub use self::layer::CacheLayer;
pub use self::service::Cache;
pub use self::store::Store;
