//! Layers: functions from a service to a service.
//!
//! The trait and its helpers are re-exported from the crate `tower-layer`. To stack layers, use
//! [`ServiceBuilder`](crate::ServiceBuilder). Write your own layer only if no combinator of
//! [`ServiceExt`](crate::ServiceExt) suffices.
//!
//! # Example
//!
//! ```
//! # #[cfg(feature = "util")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use std::convert::Infallible;
//! use tower::{Layer, ServiceExt, layer::layer_fn, service_fn};
//!
//! let twice = layer_fn(|inner| ServiceExt::<u32>::map_request(inner, |n: u32| 2 * n));
//! let service = twice.layer(service_fn(async |n: u32| Ok::<_, Infallible>(n + 1)));
//! assert_eq!(service.oneshot(20).await, Ok(41));
//! # }
//! # #[cfg(not(feature = "util"))]
//! # fn main() {}
//! ```

pub use tower_layer::{Layer, LayerFn, layer_fn};

/// Building blocks of stacks, as [`ServiceBuilder`](crate::ServiceBuilder) makes them.
pub mod util {
    pub use tower_layer::{Identity, Stack};
}
