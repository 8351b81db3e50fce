//! Classification of results: success, failure and its kind, unsent, or ignored.
//!
//! Write a [`Classify`] once, and pass it to [`retry`](crate::retry), [`hedge`](crate::hedge), [`load`](crate::load) and the
//! health of endpoints. For HTTP and gRPC there is `HttpClassify` in the module `http`, behind the feature of that name.
//!
//! # Errors of layers
//!
//! A layer that rejects a request, or gives up on one, returns a typed error in a [`BoxError`]. [`refusal`] returns the reason
//! and, if it is known, when to retry; with the feature `http` also the status of a response. [`LayerErrors`] classifies such
//! errors.
//!
//! # Example
//!
//! ```
//! # #[cfg(all(feature = "load-shed", feature = "limit", feature = "util"))]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use tower::classify::{RefusalKind, refusal};
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! let mut service = ServiceBuilder::new()
//!     .load_shed()
//!     .concurrency_limit(1)
//!     .service_fn(|()| std::future::pending::<Result<(), std::io::Error>>());
//! let _in_flight = service.ready().await.unwrap().call(());
//!
//! let error = service.clone().oneshot(()).await.unwrap_err();
//! let refusal = refusal(error.as_ref()).expect("a layer rejected the request");
//! assert_eq!(refusal.kind(), RefusalKind::Overloaded);
//! # }
//! # #[cfg(not(all(feature = "load-shed", feature = "limit", feature = "util")))]
//! # fn main() {}
//! ```

use std::error::Error;

#[cfg(feature = "http")]
#[doc(inline)]
pub use tower_classify::http;
#[doc(inline)]
pub use tower_classify::{
    Class, Classify, ErrorChain, ErrorIsFailure, Failure, FailureKind, Pushback, Refusal,
    RefusalKind, Unsent, WithRequest, cause_ref, causes, with_request,
};

use crate::BoxError;

/// Returns why a layer of this family rejected or timed out the request, from the error and its sources, or `None` for an error
/// of the service itself.
///
/// | error | [`RefusalKind`] |
/// |---|---|
/// | [`timeout::error::Elapsed`](crate::timeout::error::Elapsed) | `Elapsed` |
/// | [`timeout::error::DeadlineExceeded`](crate::timeout::error::DeadlineExceeded) | `DeadlineExceeded` |
/// | [`load_shed::error::Overloaded`](crate::load_shed::error::Overloaded) | `Overloaded` |
/// | [`limit::error::LimitExceeded`](crate::limit::error::LimitExceeded) | `RateLimited` for a rate and for a limit per key, with the time to retry if it is known; `Overloaded` otherwise |
/// | [`buffer::fail_fast::Unavailable`](crate::buffer::fail_fast::Unavailable) | `FailFast` |
/// | [`buffer::error::Closed`](crate::buffer::error::Closed), [`buffer::error::ServiceError`](crate::buffer::error::ServiceError) | `Closed` |
/// | [`balance::error::NoEndpoints`](crate::balance::error::NoEndpoints), [`balance::error::Discover`](crate::balance::error::Discover), [`health::error::NoHealthyEndpoints`](crate::health::error::NoHealthyEndpoints) | `NoEndpoints` |
/// | [`breaker::error::Open`](crate::breaker::error::Open) | `BreakerOpen`, with its `retry_after` |
/// | [`breaker::error::Throttled`](crate::breaker::error::Throttled) | `Throttled` |
/// | [`executor::error::QueueFull`](crate::executor::error::QueueFull) | `Overloaded` |
/// | [`executor::error::Stopped`](crate::executor::error::Stopped) | `Closed` |
/// | a [`Refusal`], returned by a layer of your own | its own |
///
/// If the chain contains several of them, the outermost decides.
pub fn refusal(error: &(dyn Error + 'static)) -> Option<Refusal> {
    causes(error).find_map(|error| {
        let own = error.downcast_ref::<Refusal>().copied();
        #[cfg(feature = "limit")]
        let own = own.or_else(|| error.downcast_ref().map(limit_exceeded));
        #[cfg(feature = "breaker")]
        let own = own.or_else(|| error.downcast_ref().map(breaker_open));
        own.or_else(|| kind(error).map(Refusal::new))
    })
}

#[cfg(feature = "limit")]
fn limit_exceeded(error: &crate::limit::error::LimitExceeded) -> Refusal {
    use crate::limit::error::LimitKind;

    let refusal = Refusal::new(match error.limit() {
        LimitKind::Rate | LimitKind::KeyRate | LimitKind::KeyConcurrency => {
            RefusalKind::RateLimited
        }
        _ => RefusalKind::Overloaded,
    });
    match error.retry_after() {
        Some(after) => refusal.with_retry_after(after),
        None => refusal,
    }
}

#[cfg(feature = "breaker")]
const fn breaker_open(error: &crate::breaker::error::Open) -> Refusal {
    let refusal = Refusal::new(RefusalKind::BreakerOpen);
    match error.retry_after() {
        Some(after) => refusal.with_retry_after(after),
        None => refusal,
    }
}

#[allow(unused_variables, reason = "without features there are no layers")]
fn kind(error: &(dyn Error + 'static)) -> Option<RefusalKind> {
    #[cfg(feature = "timeout")]
    {
        use crate::timeout::error::{DeadlineExceeded, Elapsed};

        if error.is::<Elapsed>() {
            return Some(RefusalKind::Elapsed);
        }
        if error.is::<DeadlineExceeded>() {
            return Some(RefusalKind::DeadlineExceeded);
        }
    }
    #[cfg(feature = "load-shed")]
    if error.is::<crate::load_shed::error::Overloaded>() {
        return Some(RefusalKind::Overloaded);
    }
    #[cfg(feature = "buffer")]
    {
        use crate::buffer::error::{Closed, ServiceError};

        if error.is::<crate::buffer::fail_fast::Unavailable>() {
            return Some(RefusalKind::FailFast);
        }
        if error.is::<Closed>() || error.is::<ServiceError>() {
            return Some(RefusalKind::Closed);
        }
    }
    #[cfg(feature = "balance")]
    {
        use crate::balance::error::{Discover, NoEndpoints};

        if error.is::<NoEndpoints>() || error.is::<Discover>() {
            return Some(RefusalKind::NoEndpoints);
        }
    }
    #[cfg(feature = "breaker")]
    if error.is::<crate::breaker::error::Throttled>() {
        return Some(RefusalKind::Throttled);
    }
    #[cfg(feature = "executor")]
    {
        use crate::executor::error::{QueueFull, Stopped};

        if error.is::<QueueFull>() {
            return Some(RefusalKind::Overloaded);
        }
        if error.is::<Stopped>() {
            return Some(RefusalKind::Closed);
        }
    }
    #[cfg(feature = "health")]
    if error.is::<crate::health::error::NoHealthyEndpoints>() {
        return Some(RefusalKind::NoEndpoints);
    }
    None
}

/// Classifies the errors of a stack of layers: [refusals](refusal) by [`Refusal::class`], and others by [`ErrorChain`]. Every
/// response is a success.
///
/// For `HttpClassify`: `HttpClassify::new().errors(LayerErrors)`.
#[derive(Clone, Copy, Debug, Default)]
pub struct LayerErrors;

impl LayerErrors {
    /// Classifies an error.
    pub fn class(error: &(dyn Error + 'static)) -> Class {
        match refusal(error) {
            Some(refusal) => refusal.class(),
            None => ErrorChain::class(error),
        }
    }
}

impl<Req, Res> Classify<Req, Res, BoxError> for LayerErrors {
    type Info = ();

    fn info(&self, _request: &Req) {}

    fn classify(&self, (): &(), result: Result<&Res, &BoxError>) -> Class {
        match result {
            Ok(_) => Class::Success,
            Err(error) => Self::class(error.as_ref()),
        }
    }
}

#[cfg(feature = "http")]
impl http::ClassifyError<BoxError> for LayerErrors {
    fn classify_error(&self, error: &BoxError) -> Class {
        Self::class(error.as_ref())
    }
}
