//! Middleware that refuses requests while the inner service is not ready, where others would wait.
//!
//! Without it, what a limit does not let in piles up before it. Put it right above the limit that shall refuse; the
//! caller gets [`error::Overloaded`] at once, and may go elsewhere.
//!
//! # Readiness
//!
//! Always ready, unless the inner service fails. The inner service is asked each time.
//!
//! # Errors
//!
//! A [`BoxError`](crate::BoxError): the inner service's, or [`error::Overloaded`].

pub mod error;
pub mod future;
mod layer;
mod service;

pub use self::layer::LoadShedLayer;
pub use self::service::LoadShed;
