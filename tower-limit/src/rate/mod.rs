//! Middleware that lets at most so many requests through in a period; the rest wait for the next.
//!
//! A period begins with the first request after the last one has ended. So a burst at the end of one and another at the
//! beginning of the next may follow each other closely: twice the number in less than a period.
//!
//! # Readiness
//!
//! `poll_ready` takes one of the period's requests; dropping the handle without a call gives it back. Then the inner
//! service's readiness.
//!
//! # Clone
//!
//! Clones share the limit, which tower 0.5 has not: its `RateLimit` is not `Clone`.

mod layer;
#[expect(clippy::module_inception, reason = "the path is that of tower 0.5")]
mod rate;
mod service;
mod window;

pub use self::layer::{GlobalRateLimitLayer, RateLimitLayer};
pub use self::rate::Rate;
pub use self::service::RateLimit;
