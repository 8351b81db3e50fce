//! What the result of a request means.
//!
//! A retry wants to know whether another attempt may succeed, a balancer whether the endpoint is broken, a load measurement
//! whether a fast answer is an answer at all, a dashboard what to count. All of them ask the same question: was this a
//! failure, and of which kind? This crate has one answer, a [`Class`], and one trait that gives it, [`Classify`]. Write the
//! classification of your responses once, and hand it to all of them.
//!
//! | [`Class`] | means | a retry | outlier detection |
//! |---|---|---|---|
//! | [`Success`](Class::Success) | the service answered; a 404 is an answer too | returns it | counts a success |
//! | [`Failure`](Class::Failure) | the service failed, or did not answer; see [`FailureKind`] | sends the request again if the failure [is transient](Failure::is_transient), after the [pushback](Failure::pushback) if there is one | counts a failure |
//! | [`Unsent`](Class::Unsent) | the request was never processed | always sends it again | counts a failure |
//! | [`Ignored`](Class::Ignored) | the result says nothing about the service: the caller's fault, or a local limit | returns it | counts nothing |
//!
//! # Example
//!
//! ```
//! use tower_classify::{Class, Classify, Failure, FailureKind};
//!
//! // Closures classify results. Here a response is a number out of the hundreds if the service is overloaded.
//! let classify = |result: Result<&u32, &std::io::Error>| match result {
//!     Ok(100..) => Class::Failure(Failure::new(FailureKind::Overloaded)),
//!     Ok(_) => Class::Success,
//!     Err(_) => Class::Failure(Failure::new(FailureKind::Disconnected)),
//! };
//! assert_eq!(Classify::<(), _, _>::classify(&classify, &(), Ok(&7)), Class::Success);
//! assert!(Classify::<(), _, _>::classify(&classify, &(), Ok(&500)).is_failure());
//! ```
//!
//! The feature `http` has [`HttpClassify`](http::HttpClassify) for HTTP and gRPC.
//!
//! # Errors
//!
//! Layers box their errors, and errors wrap others. [`cause_ref`] finds a type in such a chain. [`ErrorChain`] classifies an
//! error by its chain; a client marks what it failed to send as [`Unsent`]. [`Refusal`] is what a caller needs to know of an
//! error that a layer raised itself: its kind, and when to come back.
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

pub use self::cause::{ErrorChain, Unsent, cause_ref};
pub use self::class::{Class, Failure, FailureKind, Pushback};
pub use self::classify::{Classify, ErrorIsFailure, WithRequest, with_request};
pub use self::refusal::{Refusal, RefusalKind};

/// An error of any type. The same as `tower::BoxError`.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
