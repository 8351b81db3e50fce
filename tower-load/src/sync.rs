//! The atomics of the standard library, or those of loom under `--cfg tower_loom`.

#[cfg(not(tower_loom))]
pub(crate) use std::sync::atomic::{AtomicU64, AtomicUsize};

#[cfg(tower_loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, AtomicUsize};
