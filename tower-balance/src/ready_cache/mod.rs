//! A set of services, told apart by keys, which knows which of them are ready.
//!
//! Services are [pushed](ReadyCache::push) and driven to readiness by [`ReadyCache::poll_pending`]. Those that are ready
//! have an index, until the set of ready services changes. To send a request, choose one, ask
//! [`check_ready_index`](ReadyCache::check_ready_index) whether it still is, and
//! [call](ReadyCache::call_ready_index) it; it is pending again then.
//!
//! It is a part to build balancers of. If you only want to balance, use [`Balance`](crate::p2c::Balance).
//!
//! # Replacing
//!
//! A service that is pushed under the key of another takes its place when it is ready, and until then the other goes on.
//! If the new one fails, the old one stays. (In tower 0.5 the old one is gone with its next request.)
//!
//! # Failing
//!
//! A service whose readiness fails is dropped and not polled again, and [`error::Failed`] tells its key.
//!
//! # Cost
//!
//! Each service has a waker of its own, so that only those are polled that have something to do. Pushing allocates it;
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
