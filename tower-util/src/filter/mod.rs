//! Middleware that passes each request to a predicate, which may change it or reject it with an error.
//!
//! The predicate of a [`Filter`] is a [`Predicate`]: any `FnMut(Request) -> Result<NewRequest, E>`. That of an
//! [`AsyncFilter`] is an [`AsyncPredicate`], which returns a future. A rejected request never reaches the inner
//! service.
//!
//! Use it to reject requests that are invalid: not authorized, malformed, too large. To reject requests because of
//! overload, use a limit; to change requests without rejecting any, use
//! [`map_request`](crate::ServiceExt::map_request).
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//! use tower_util::{ServiceExt, filter::Filter, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let double = service_fn(async |n: u32| Ok::<_, Infallible>(2 * n));
//! // The service gets the request that the predicate returns.
//! let service = Filter::new(double, |text: &str| text.parse::<u32>());
//! assert_eq!(service.clone().oneshot("21").await.unwrap(), 42);
//! assert!(service.oneshot("a dozen").await.unwrap_err().is::<std::num::ParseIntError>());
//! # }
//! ```
//!
//! # Readiness
//!
//! That of the inner service. When [`Filter`] rejects a request, it releases the inner service's reservation
//! immediately, and not only with the next request or when the handle is dropped. [`AsyncFilter`] releases it if the
//! predicate is pending, and waits for the inner service again afterwards, so that slow predicates do not use up its
//! capacity.
//!
//! # Errors
//!
//! A [`BoxError`](crate::BoxError): the predicate's, or the inner service's. If the inner service fails to become ready
//! again after an async predicate, that request fails; the filter itself can still be used.

pub mod future;
mod layer;
mod predicate;
mod service;

pub use self::layer::{AsyncFilterLayer, FilterLayer};
pub use self::predicate::{AsyncPredicate, Predicate};
pub use self::service::{AsyncFilter, Filter};
