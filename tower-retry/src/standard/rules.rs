use std::fmt;
use std::marker::PhantomData;

use tokio::time::Instant;
use tower_classify::{Class, Classify, ErrorIsFailure, Failure, FailureKind};

/// What a [`RetryPolicy`](crate::RetryPolicy) must know of a kind of requests: what their results mean, and how to send one
/// again.
///
/// [`CloneRequest`] is for requests that are `Clone`; the feature `http` has one for HTTP and gRPC.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot tell whether a request is to be sent again",
    note = "with `RetryPolicy::builder()` the request has to be `Clone`, and a closure of `retry_if` takes `(&Request, Result<&Response, &Error>)`",
    note = "for `http::Request`, which is not `Clone` with most bodies, use `RetryPolicy::http()` and `HttpRetryLayer` of the feature `http`"
)]
pub trait RetryRules<Req, Res, E> {
    /// Classifies the result of an attempt at `request`.
    ///
    /// The request is sent again after [`Class::Unsent`], and after a [`Failure`] that is transient.
    fn classify(&self, request: &Req, result: Result<&Res, &E>) -> Class;

    /// Makes a copy for a further attempt, or returns `None` if there can be none. Called before each attempt.
    fn clone_request(&self, request: &Req) -> Option<Req>;

    /// Returns whether the copy can be sent, now that an attempt has failed.
    fn is_sendable(&self, _request: &Req) -> bool {
        true
    }

    /// Returns the deadline of the request, if it has one. A retry that would begin later is not made.
    fn deadline(&self, _request: &Req) -> Option<Instant> {
        None
    }

    /// Prepares a copy that is sent next. Returns `false` if it cannot be sent after all.
    fn prepare(&self, _request: &mut Req) -> bool {
        true
    }
}

/// Rules for requests that are `Clone`: their results are classified by `C`.
#[derive(Clone, Copy, Debug, Default)]
pub struct CloneRequest<C = ErrorIsFailure> {
    classify: C,
}

impl<C> CloneRequest<C> {
    pub(super) const fn new(classify: C) -> Self {
        Self { classify }
    }
}

impl<C, Req, Res, E> RetryRules<Req, Res, E> for CloneRequest<C>
where
    C: Classify<Req, Res, E>,
    Req: Clone,
{
    #[inline]
    fn classify(&self, request: &Req, result: Result<&Res, &E>) -> Class {
        self.classify.classify(&self.classify.info(request), result)
    }

    #[inline]
    fn clone_request(&self, request: &Req) -> Option<Req> {
        Some(request.clone())
    }
}

/// Rules for requests that are `Clone`, by a closure that says whether to send one again; see
/// [`Builder::retry_if`](crate::Builder::retry_if).
pub struct RetryIf<F, Req, Res, E> {
    retries: F,
    _marker: PhantomData<fn(Req, Res, E)>,
}

impl<F, Req, Res, E> RetryIf<F, Req, Res, E> {
    /// Sends a request again if `retries` returns `true`. A response for which it returns `false` is a success, and an error
    /// a failure.
    pub const fn new(retries: F) -> Self
    where
        F: Fn(&Req, Result<&Res, &E>) -> bool,
    {
        Self {
            retries,
            _marker: PhantomData,
        }
    }
}

// For the types that the closure takes, and not for those in its own type, which are there to infer the closure's. A
// `BoxError` among them would keep the compiler from proving that a spawned `async` block is `Send` (rust-lang/rust#64552).
impl<F, Req, Res, E, A, B, C> RetryRules<Req, Res, E> for RetryIf<F, A, B, C>
where
    F: Fn(&Req, Result<&Res, &E>) -> bool,
    Req: Clone,
{
    #[inline]
    fn classify(&self, request: &Req, result: Result<&Res, &E>) -> Class {
        let succeeded = result.is_ok();
        let transient = (self.retries)(request, result);
        if succeeded && !transient {
            return Class::Success;
        }
        Class::Failure(Failure::new(FailureKind::Unknown).transient(transient))
    }

    #[inline]
    fn clone_request(&self, request: &Req) -> Option<Req> {
        Some(request.clone())
    }
}

impl<F, Req, Res, E> fmt::Debug for RetryIf<F, Req, Res, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryIf").finish_non_exhaustive()
    }
}
