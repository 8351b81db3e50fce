//! Layers: functions from a service to a service.
//!
//! The trait and its helpers are those of the crate `tower-layer`.

pub use tower_layer::{Layer, LayerFn, layer_fn};

/// Building blocks of stacks, as [`ServiceBuilder`](crate::ServiceBuilder) makes them.
pub mod util {
    pub use tower_layer::{Identity, Stack};
}
