//! Benchmark cases: the cost of a request through each layer, with our tower and with the registry's tower 0.5.3.

pub mod added;
mod cases;
pub mod counting;
mod services;
pub mod shared;

pub use crate::services::current_thread;

pub use crate::cases::{ours, registry};

/// A benchmark case.
pub struct Case {
    pub name: &'static str,
    /// The maximum cost of ours as a fraction of the registry's.
    pub target: f64,
    /// Sets the case up, and returns a function that runs a given number of requests.
    pub prepare: fn() -> Box<dyn FnMut(u64)>,
}
