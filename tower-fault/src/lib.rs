//! Middleware that delays a share of the requests, fails a share of them, or both: fault injection.
//!
//! Use it in tests, and in production to see whether timeouts, retries and fallbacks do what they are for, before the day on which
//! they must. Put it below the layers that are to be tested. It can be built in and [switched off](Switch).
//!
//! With the feature `http` there is the module `http`: responses with a status, bodies that break off, and faults that a
//! request asks for in its headers.
//!
//! # Example
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), tower_fault::InvalidFault> {
//! use std::convert::Infallible;
//! use std::time::Duration;
//! use tower_fault::error::Injected;
//! use tower_fault::{FaultLayer, Plan, Switch};
//! use tower_layer::Layer;
//! use tower_util::{ServiceExt, service_fn};
//!
//! let second = Duration::from_secs(1);
//! let plan = Plan::new().delay(0.5, second..=2 * second)?.fail(0.2)?;
//! let switch = Switch::on();
//! let layer = FaultLayer::new(plan).seed(7).switch(switch.clone());
//! let service = layer.layer(service_fn(async |n: u32| Ok::<_, Infallible>(n)));
//!
//! let mut failures = 0;
//! for n in 0..100 {
//!     if let Err(error) = service.clone().oneshot(n).await {
//!         assert!(error.is::<Injected>());
//!         failures += 1;
//!     }
//! }
//! assert!((10..30).contains(&failures));
//! switch.set(false);
//! assert_eq!(service.oneshot(1).await.unwrap(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Delays
//!
//! A request that is delayed is passed to the inner service at once, and the response future of the inner service is first polled
//! after the delay. So it holds what a slow request holds. A service that works before its future is polled, such as a `Buffer`, works
//! during the delay.
//!
//! # Readiness
//!
//! That of the inner service. When a request fails by injection, what the inner service has reserved for it is released.
//!
//! # Cancellation
//!
//! Dropping the response future drops the request, also during the delay.
//!
//! # Errors
//!
//! A [`BoxError`] with the error of the inner service, or with [`Injected`](error::Injected), or what the closure of
//! [`error`](FaultLayer::error) returns.
//!
//! # Clone
//!
//! Clones, and all services of the layer, draw from one sequence of random numbers, and share the switch.
//!
//! # Cost
//!
//! Switched on, one atomic addition on a cache line that all clones share, and a few nanoseconds for random numbers. Switched off, one
//! read of an atomic. A delay takes an allocation, for its timer.

pub mod error;
mod event;
pub mod future;
#[cfg(feature = "http")]
pub mod http;
mod layer;
mod plan;
mod service;
mod switch;

#[doc(inline)]
pub use tower_readiness::BoxError;

pub use self::event::Event;
pub use self::layer::FaultLayer;
pub use self::plan::{Fault, InvalidFault, Plan};
pub use self::service::{AlwaysInjected, InjectFault, MakeError};
pub use self::switch::Switch;
