//! Classification of results: whether a request succeeded, and if not, how it failed.
//!
//! A retry must know whether another attempt may succeed, outlier detection whether the endpoint has failed, a load
//! measurement whether a fast response is an error, and metrics what to count. All of them depend on whether a result
//! is a failure, and of which kind. This crate has one type for that, [`Class`], and one trait that returns it,
//! [`Classify`]. Write the classification of your responses once, and pass it to all layers.
//!
//! | [`Class`] | means | a retry | outlier detection |
//! |---|---|---|---|
//! | [`Success`](Class::Success) | the service responded; a 404 is a success too | returns it | counts a success |
//! | [`Failure`](Class::Failure) | the service failed, or did not respond; see [`FailureKind`] | sends the request again if the failure [is transient](Failure::is_transient), after the [pushback](Failure::pushback) if there is one | counts a failure |
//! | [`Unsent`](Class::Unsent) | the request was never processed | always sends it again | counts a failure |
//! | [`Ignored`](Class::Ignored) | the result says nothing about the service: the caller caused it, or a local limit did | returns it | counts nothing |
//!
//! # Example
//!
//! ```
//! use tower_classify::{Class, Classify, Failure, FailureKind};
//!
//! // Closures classify results. In this example, a response of 100 and above means that the service is overloaded.
//! let classify = |result: Result<&u32, &std::io::Error>| match result {
//!     Ok(100..) => Class::Failure(Failure::new(FailureKind::Overloaded)),
//!     Ok(_) => Class::Success,
//!     Err(_) => Class::Failure(Failure::new(FailureKind::Disconnected)),
//! };
//! assert_eq!(Classify::<(), _, _>::classify(&classify, &(), Ok(&7)), Class::Success);
//! assert!(Classify::<(), _, _>::classify(&classify, &(), Ok(&500)).is_failure());
//! ```
//!
//! The feature `http` adds [`HttpClassify`](http::HttpClassify) for HTTP and gRPC.
//!
//! # Errors
//!
//! Layers box their errors, and errors wrap others. [`cause_ref`] finds a type in such a chain. [`ErrorChain`]
//! classifies an error by its chain. A client wraps the error of a request that it failed to send in [`Unsent`].
//! [`Refusal`] describes an error that a layer returned itself: its kind, and when to retry.
//!
//! # Cost
//!
//! Classification allocates nothing and takes no lock. `HttpClassify` reads the status, and for gRPC two headers.

mod cause;
mod class;
mod classify;
#[cfg(feature = "http")]
pub mod http;
mod refusal;

pub use self::cause::{ErrorChain, Unsent, cause_ref, causes};
pub use self::class::{Class, Failure, FailureKind, Pushback};
pub use self::classify::{Classify, ErrorIsFailure, WithRequest, with_request};
pub use self::refusal::{Refusal, RefusalKind};

/// An error of any type. The same as `tower::BoxError`.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
