//! Middleware that lets a predicate change each request, or reject it with an error.
//!
//! [`Filter`] asks a [`Predicate`], which is any `FnMut(Request) -> Result<NewRequest, E>`; [`AsyncFilter`] asks an
//! [`AsyncPredicate`], the same with a future. A rejected request never reaches the inner service.
//!
//! Use it for what is wrong with a request: permission, form, size. A request that is refused because there are too many is
//! the business of a limit; one that is only to be changed, that of
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
//! // What the predicate makes of the request is what the service gets.
//! let service = Filter::new(double, |text: &str| text.parse::<u32>());
//! assert_eq!(service.clone().oneshot("21").await.unwrap(), 42);
//! assert!(service.oneshot("a dozen").await.unwrap_err().is::<std::num::ParseIntError>());
//! # }
//! ```
//!
//! # Readiness
//!
//! That of the inner service. When [`Filter`] rejects a request, what the inner service had reserved for it is given back
//! at once, and not only with the next request or when the handle is dropped. [`AsyncFilter`] gives back what it has
//! reserved while the predicate takes its time, and waits for the inner service again afterwards, so that slow predicates do
//! not use up its capacity.
//!
//! # Errors
//!
//! A [`BoxError`](crate::BoxError): the predicate's, or the inner service's. For a request that waits again after its
//! predicate, an error of readiness is the request's: it ends that clone, and not the filter.

pub mod future;
mod layer;
mod predicate;
mod service;

pub use self::layer::{AsyncFilterLayer, FilterLayer};
pub use self::predicate::{AsyncPredicate, Predicate};
pub use self::service::{AsyncFilter, Filter};
