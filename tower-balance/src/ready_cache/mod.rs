//! A set of services, identified by keys, that tracks which of them are ready.
//!
//! Services are [pushed](ReadyCache::push), and driven to readiness by [`ReadyCache::poll_pending`]. A ready service
//! has an index, which is valid until the set of ready services changes. To send a request, choose a service, check
//! with [`check_ready_index`](ReadyCache::check_ready_index) that it is still ready, and
//! [call](ReadyCache::call_ready_index) it, which makes it pending again.
//!
//! This is a building block for load balancers. To balance requests, use [`Balance`](crate::p2c::Balance).
//!
//! # Replacing
//!
//! If a service is pushed with the key of another one, it replaces that one when it is ready. Until then, the old
//! service is used; if the new one fails, the old one is kept.
//!
//! # Failing
//!
//! A service that fails to become ready is dropped. [`error::Failed`] contains its key.
//!
//! # Cost
//!
//! Each service has its own waker, so only services that were woken are polled. Pushing a service allocates its waker;
//! polling and calling allocate nothing.
//!
//! # Differences from tower 0.5
//!
//! In tower 0.5, a service that is being replaced is dropped after its next request, even if the new one is not ready.
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use std::convert::Infallible;
//! use std::future::poll_fn;
//! use std::task::Poll;
//! use tower_balance::ready_cache::ReadyCache;
//! use tower_util::service_fn;
//!
//! let mut cache = ReadyCache::default();
//! cache.push("double", service_fn(async |n: u32| Ok::<_, Infallible>(2 * n)));
//! poll_fn(|cx| cache.poll_pending(cx)).await.unwrap();
//! assert!(poll_fn(|cx| Poll::Ready(cache.check_ready(cx, &"double"))).await.unwrap());
//! assert_eq!(cache.call_ready(&"double", 21).await, Ok(42));
//! assert_eq!(cache.ready_len(), 0); // until it is polled again
//! # }
//! ```

pub mod cache;
pub mod error;
mod wake_queue;

pub use self::cache::ReadyCache;
