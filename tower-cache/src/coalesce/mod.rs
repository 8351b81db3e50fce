//! Middleware that sends one request for all concurrent requests with the same key, and returns clones of its response: single
//! flight.
//!
//! Use it for reads that many callers repeat at the same time, such as those that miss a [cache](crate) when a popular entry
//! expires. Requests that change something, and requests whose response depends on the user, must have no key, or a key that
//! tells them apart: what the key leaves out, callers share.
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicU32, Ordering};
//! use std::time::Duration;
//! use tower_cache::BoxError;
//! use tower_cache::coalesce::CoalesceLayer;
//! use tower_layer::Layer;
//! use tower_util::{ServiceExt, service_fn};
//!
//! let calls = Arc::new(AtomicU32::new(0));
//! let count = calls.clone();
//! let service = CoalesceLayer::new(1024, |name: &&'static str| Some(*name)).layer(service_fn(move |name: &'static str| {
//!     count.fetch_add(1, Ordering::Relaxed);
//!     async move {
//!         tokio::time::sleep(Duration::from_secs(1)).await;
//!         Ok::<_, BoxError>(name.len())
//!     }
//! }));
//! let requests = (0..100).map(|_| service.clone().oneshot("popular"));
//! for response in futures::future::join_all(requests).await {
//!     assert_eq!(response.unwrap(), 7);
//! }
//! assert_eq!(calls.load(Ordering::Relaxed), 1);
//! # }
//! ```
//!
//! # The first request and the others
//!
//! The first request of a key is sent, and the others are dropped. The others receive its response, and so are subject to its
//! deadline, its headers and its trace. Put timeouts for each request above this layer, and one for the call below it: a call that
//! hangs holds up all requests of its key.
//!
//! The number of keys in flight is bounded. A request with a further key is sent alone ([`Event::Full`]).
//!
//! # Readiness
//!
//! Always ready, as a request that joins a call needs nothing of the inner service. A call is made on a clone of the service, once
//! that is ready. So the service must be `Clone`, and one that has to be driven without requests needs a
//! [`Buffer`](https://docs.rs/tower/latest/tower/buffer) around it. A limit or load shedding belongs below this layer, where its
//! refusal is shared as well.
//!
//! # Cancellation
//!
//! The call belongs to all of its requests. Whichever is dropped, the first one included, the call goes on, polled by the others.
//! When the last one is dropped, the call is dropped as well.
//!
//! # Errors
//!
//! A [`BoxError`](crate::BoxError) with a [`SharedError`](crate::error::SharedError), whose source is the error of the inner service.
//! If the service panics, the panic goes on in the task that has polled it, and the other requests get
//! [`Panicked`](crate::error::Panicked). The next request begins a new call. A request that was sent alone has the error of the
//! inner service itself.
//!
//! # Clone
//!
//! Clones, and all services of the layer and its clones, share the calls in flight. They must all respond alike.
//!
//! # Cost
//!
//! A call takes about three allocations, and a lock of one of up to 64 shards when it begins and when it ends. A request that joins
//! it takes that lock once when it joins, and one of the call for each poll. The service is cloned once per call. The last request
//! that takes the response gets it without a clone.
//!
//! Each wake-up of the call wakes all of its requests, and the first of them polls the call. A single one, that of the first request,
//! would be cheaper, but if that request is not polled, all would wait.

mod event;
mod flight;
mod flights;
pub mod future;
mod layer;
mod service;

pub use self::event::Event;
pub use self::layer::CoalesceLayer;
pub use self::service::Coalesce;
