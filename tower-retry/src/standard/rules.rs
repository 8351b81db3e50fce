use std::fmt;
use std::marker::PhantomData;

use tokio::time::Instant;
use tower_classify::{Class, Classify, ErrorIsFailure, Failure, FailureKind};

/// What a [`RetryPolicy`](crate::RetryPolicy) needs to know about a type of requests: how to classify results, and how to clone
/// a request.
///
/// [`CloneRequest`] is for requests that are `Clone`; the feature `http` has rules for HTTP requests and gRPC calls.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot decide whether to retry a request of type `{Req}`",
    note = "with `RetryPolicy::builder()` the request must be `Clone`, and the closure of `retry_if` takes `(&Request, Result<&Response, &Error>)`",
    note = "for `http::Request`, which is not `Clone` with most bodies, use `RetryPolicy::http()` and `HttpRetryLayer` of the feature `http`"
)]
pub trait RetryRules<Req, Res, E> {
    /// Classifies the result of an attempt at `request`.
    ///
    /// The request is retried after [`Class::Unsent`], and after a transient [`Failure`].
    fn classify(&self, request: &Req, result: Result<&Res, &E>) -> Class;

    /// Clones the request for a further attempt, or returns `None` if it cannot be retried. Called before each attempt.
    fn clone_request(&self, request: &Req) -> Option<Req>;

    /// Returns whether the clone can still be sent after an attempt has failed. By default it can.
    fn is_sendable(&self, _request: &Req) -> bool {
        true
    }

    /// Returns the deadline of the request, if it has one. No retry begins after it. By default there is none.
    fn deadline(&self, _request: &Req) -> Option<Instant> {
        None
    }

    /// Prepares the clone that is sent next. Returns `false` if it cannot be sent after all. By default does nothing.
    fn prepare(&self, _request: &mut Req) -> bool {
        true
    }
}

/// Rules for requests that are `Clone`, with results classified by `C`.
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

/// Rules for requests that are `Clone`, with a closure that decides whether to retry; see
/// [`Builder::retry_if`](crate::Builder::retry_if).
pub struct RetryIf<F, Req, Res, E> {
    retries: F,
    _marker: PhantomData<fn(Req, Res, E)>,
}

impl<F, Req, Res, E> RetryIf<F, Req, Res, E> {
    /// Creates rules that retry a request if `retries` returns `true`. If it returns `false`, a response counts as a success, and
    /// an error as a failure.
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

// Implemented for the types that the closure takes, and not for `A`, `B` and `C`, which only help to infer the closure's. With a
// `BoxError` among them, the compiler could not prove that a spawned `async` block is `Send` (rust-lang/rust#64552).
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
