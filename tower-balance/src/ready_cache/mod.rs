//! A set of services, identified by keys, that tracks which of them are ready.
//!
//! Services are [pushed](ReadyCache::push), and driven to readiness by [`ReadyCache::poll_pending`]. A ready service
//! has an index, which is valid until the set of ready services changes. To send a request, choose a service, check
//! with [`check_ready_index`](ReadyCache::check_ready_index) that it is still ready, and
//! [call](ReadyCache::call_ready_index) it; the service is pending again then.
//!
//! This is a building block for load balancers. To just balance requests, use [`Balance`](crate::p2c::Balance).
//!
//! # Replacing
//!
//! A service that is pushed with the key of another replaces it when it is ready; until then the old one is used. If
//! the new one fails, the old one is kept. (In tower 0.5 the old one is removed with its next request.)
//!
//! # Failing
//!
//! A service whose readiness fails is dropped and not polled again; [`error::Failed`] holds its key.
//!
//! # Cost
//!
//! Each service has its own waker, so that only services that were woken are polled. Pushing allocates the waker;
//! polling and calling allocate nothing.
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
mod wakes;

pub use self::cache::ReadyCache;
