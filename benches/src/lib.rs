//! What a request through each layer costs, in ours and in the registry's tower 0.5.3: the cases, for whoever measures.

mod cases;
pub mod counting;
mod services;
pub mod shared;

pub use crate::services::current_thread;

pub use crate::cases::{ours, registry};

/// One thing to measure.
pub struct Case {
    pub name: &'static str,
    /// Ours may cost that share of the registry's, at most.
    pub target: f64,
    /// Makes everything ready, and returns what runs so many requests.
    pub prepare: fn() -> Box<dyn FnMut(u64)>,
}
