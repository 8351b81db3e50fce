//! Combinators and adaptors for [`Service`](tower_service::Service)s.
//!
//! - [`ServiceExt`] gives every service methods: wait for readiness ([`ready`](ServiceExt::ready)), send one request
//!   ([`oneshot`](ServiceExt::oneshot)) or a stream of requests ([`call_all`](ServiceExt::call_all)), and map requests,
//!   responses and errors ([`map_request`](ServiceExt::map_request), [`map_response`](ServiceExt::map_response),
//!   [`map_err`](ServiceExt::map_err), [`map_result`](ServiceExt::map_result), [`and_then`](ServiceExt::and_then),
//!   [`then`](ServiceExt::then), [`map_future`](ServiceExt::map_future)).
//! - [`service_fn`] turns an async function into a service.
//! - [`BoxService`], [`BoxCloneService`], [`BoxCloneSyncService`] and [`UnsyncBoxService`] erase the type of a service;
//!   [`BoxLayer`], [`BoxCloneServiceLayer`] and [`BoxCloneSyncServiceLayer`] that of a layer.
//! - [`Either`], [`Optional`] and [`option_layer`] choose a service or a layer at run time.
//!
//! All of these are behind the feature `util`, which is on by default. Behind other features: `filter` (change or reject
//! requests), `steer` (one of several services per request), `make` (services that create services), `middleware` (from one async function), `reconnect` (create a
//! new service when the last one failed), `spawn-ready` (drive readiness in the background), `backoff` (exponential, with
//! jitter).
//!
//! Combinators are for small changes in one place. For behaviour that is used in many places, or has a name, such as a
//! limit or a retry, use a layer. Box only where types must be the same: a type that is written once needs no box.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//! use tower_util::{ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let length = service_fn(async |text: String| Ok::<_, Infallible>(text.len()))
//!     .map_request(|text: &str| text.trim().to_owned())
//!     .map_response(|length| length * 2);
//! assert_eq!(length.oneshot("  four  ").await, Ok(8));
//! # }
//! ```
//!
//! # Cost
//!
//! An adaptor adds no allocation and no lock, and its clones share nothing: they cost the same with any number of threads. A
//! boxed service allocates its future, once per request.

#[cfg(any(feature = "make", feature = "util"))]
#[macro_use]
mod macros;

#[cfg(feature = "util")]
mod and_then;
#[cfg(feature = "util")]
mod boxed;
#[cfg(feature = "util")]
mod call_all;
#[cfg(feature = "util")]
mod either;
#[cfg(feature = "util")]
mod ext;
#[cfg(feature = "util")]
mod future_service;
mod invalid_policy;
#[cfg(feature = "util")]
mod map_err;
#[cfg(feature = "util")]
mod map_future;
#[cfg(feature = "util")]
mod map_request;
#[cfg(feature = "util")]
mod map_response;
#[cfg(feature = "util")]
mod map_result;
#[cfg(feature = "util")]
mod oneshot;
#[cfg(feature = "util")]
mod optional;
#[cfg(feature = "util")]
mod ready;
#[cfg(feature = "util")]
mod service_fn;
#[cfg(feature = "util")]
mod then;

#[cfg(feature = "backoff")]
pub mod backoff;
#[cfg(feature = "filter")]
pub mod filter;
#[cfg(feature = "make")]
pub mod make;
#[cfg(feature = "middleware")]
pub mod middleware;
#[cfg(feature = "reconnect")]
pub mod reconnect;
pub mod rng;
#[cfg(feature = "spawn-ready")]
pub mod spawn_ready;
#[cfg(feature = "steer")]
pub mod steer;
mod tried;

pub use self::invalid_policy::InvalidPolicy;
pub use self::tried::Tried;
#[cfg(feature = "util")]
pub use self::{
    and_then::{AndThen, AndThenLayer},
    boxed::{
        BoxCloneService, BoxCloneServiceLayer, BoxCloneSyncService, BoxCloneSyncServiceLayer,
        BoxLayer, BoxService, UnsyncBoxService,
    },
    call_all::{CallAll, CallAllUnordered},
    either::{Either, option_layer},
    ext::ServiceExt,
    future_service::{ErrorOnce, ErrorRepeated, FutureService, future_service},
    map_err::{MapErr, MapErrLayer},
    map_future::{MapFuture, MapFutureLayer},
    map_request::{MapRequest, MapRequestLayer},
    map_response::{MapResponse, MapResponseLayer},
    map_result::{MapResult, MapResultLayer},
    oneshot::Oneshot,
    optional::Optional,
    ready::{Ready, ReadyOneshot},
    service_fn::{ServiceFn, service_fn},
    then::{Then, ThenLayer},
};

/// The errors of the adaptors, by adaptor.
#[cfg(feature = "util")]
pub mod error {
    pub use crate::optional::error as optional;
}

/// The response futures of the adaptors.
#[cfg(feature = "util")]
pub mod future {
    pub use crate::and_then::AndThenFuture;
    pub use crate::either::EitherResponseFuture;
    pub use crate::map_err::MapErrFuture;
    pub use crate::map_response::MapResponseFuture;
    pub use crate::map_result::MapResultFuture;
    pub use crate::optional::future as optional;
    pub use crate::then::ThenFuture;
}

/// A boxed error of any type.
#[doc(inline)]
pub use tower_readiness::BoxError;

/// Seals the traits of [`make`], which are aliases of [`Service`](tower_service::Service) for use in bounds.
#[cfg(feature = "make")]
mod sealed {
    #[expect(unnameable_types, reason = "that is how a trait is sealed")]
    pub trait Sealed<T> {}
}
