//! Middleware that lets at most so many requests be in flight at a time.
//!
//! The rest wait, first come, first served; put a [`LoadShed`](crate::load_shed::LoadShed) around it to refuse them
//! instead.
//!
//! # Readiness
//!
//! First a permit, then the inner service's. A handle that is ready has a permit until it calls, or is dropped. While
//! the inner service is not ready, the permit is given back.
//!
//! # Cancellation
//!
//! The permit is given back as soon as the response is ready, or when its future is dropped.
//!
//! # Differences from tower 0.5
//!
//! - A permit that is free is taken by whoever asks first, once the one who has waited longest has been told of it. A
//!   handle that was told to wait and never asked again keeps it from nobody who asks.
//! - The permit is given back with the response, and not when its future is dropped after it.
//! - An inner service that is not ready keeps no permits.
//! - The task's cooperative budget is left alone.

pub mod future;
mod layer;
mod permits;
mod service;

pub use self::layer::{ConcurrencyLimitLayer, GlobalConcurrencyLimitLayer};
pub use self::service::ConcurrencyLimit;
