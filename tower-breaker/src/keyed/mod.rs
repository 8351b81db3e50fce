//! Middleware that breaks the circuit of each key: a tenant, a host, a route, or whatever a function of the request
//! returns.
//!
//! A request whose key has an open breaker fails with [`Open`](crate::error::Open), and requests with other keys are
//! sent. For the endpoints of a balancer use [`BreakEndpoints`](crate::BreakEndpoints) instead.
//!
//! The number of keys is bounded. If there are more, the key that was used least recently is forgotten, with its breaker;
//! if that was open, the next request with the key is sent.
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), tower_breaker::BoxError> {
//! use tower_breaker::error::Open;
//! use tower_breaker::keyed::KeyedCircuitBreakerLayer;
//! use tower_breaker::policy::BreakerPolicy;
//! use tower_breaker::BoxError;
//! use tower_layer::Layer;
//! use tower_util::{ServiceExt, service_fn};
//!
//! struct Request { host: &'static str }
//!
//! let policy = BreakerPolicy::never().consecutive_failures(2);
//! let layer = KeyedCircuitBreakerLayer::new(policy, 1000, |request: &Request| request.host);
//! let breakers = layer.breakers();
//! let service = layer.layer(service_fn(async |request: Request| match request.host {
//!     "broken" => Err(BoxError::from("no route to host")),
//!     _ => Ok(()),
//! }));
//!
//! for _ in 0..2 {
//!     service.clone().oneshot(Request { host: "broken" }).await.unwrap_err();
//! }
//! let error = service.clone().oneshot(Request { host: "broken" }).await.unwrap_err();
//! assert!(error.is::<Open>());
//! service.clone().oneshot(Request { host: "works" }).await?;
//! assert_eq!(breakers.len(), 2);
//! # Ok(())
//! # }
//! ```
//!
//! # Readiness
//!
//! That of the inner service, since the key is known only when there is a request. What the inner service has reserved
//! for a request that is rejected is released.
//!
//! # Cancellation
//!
//! As with a [`CircuitBreaker`](crate::CircuitBreaker): a probe that is dropped frees its place.
//!
//! # Errors
//!
//! A [`BoxError`](crate::BoxError) with either the inner service's error or [`Open`](crate::error::Open).
//!
//! # Clone
//!
//! All services of a layer, and their clones, share the breakers.
//!
//! # Cost
//!
//! A request hashes its key once, and takes a short lock when it begins and another one when it ends: that of one of up
//! to 32 shards, which the key selects. It reads the clock when it ends, and with a rule for slow calls also when it
//! begins. A key is cloned when it is seen for the first time, and for each event; nothing else is allocated once the
//! shards are full.
//!
//! Each key takes at most [`BYTES_PER_KEY`](KeyedCircuitBreakerLayer::BYTES_PER_KEY) bytes, which is less than 320 and the
//! size of the key's type on a 64-bit machine, and what the key itself allocates. A shard that grows to twice its size
//! has both copies for a moment.

mod layer;
mod lru;
mod service;
mod shards;

pub use self::layer::{KeyedBreakers, KeyedCircuitBreakerLayer};
pub use self::service::KeyedCircuitBreaker;
