use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use tokio::time::Instant;

/// What the result of an attempt says about another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The request has succeeded.
    Success,
    /// It has failed, and another attempt would fail as well.
    Failure,
    /// It has failed, and is tried again after the backoff, if the budget allows it.
    Retry,
    /// It has failed, and is tried again after exactly so long, as the server asks, if the budget allows it.
    RetryAfter(Duration),
    /// It has failed in a way that could be tried again, but the server asks not to.
    Refused,
    /// Nobody has seen it. It is tried again: the first time at once and without the budget, as it costs no server anything,
    /// and then as after [`Retry`](Self::Retry).
    Unsent,
}

/// `true` means [`Verdict::Retry`].
impl From<bool> for Verdict {
    fn from(retry: bool) -> Self {
        if retry { Self::Retry } else { Self::Failure }
    }
}

/// Judges the results of attempts for a [`RetryPolicy`](crate::RetryPolicy), and copies requests.
///
/// [`RetryIf`] makes one of a closure; the feature `http` has one for HTTP and gRPC.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot judge whether a request is to be sent again",
    note = "with `RetryPolicy::builder()` the request has to be `Clone`, and a closure of `retry_if` takes `(&Request, Result<&Response, &Error>)`",
    note = "for `http::Request`, which is not `Clone` with most bodies, use `RetryPolicy::http()` and `HttpRetryLayer` of the feature `http`"
)]
pub trait Classify<Req, Res, E> {
    /// What `result` says, of an attempt at `request`.
    fn classify(&self, request: &Req, result: Result<&Res, &E>) -> Verdict;

    /// A copy for a further attempt; `None` if there can be none. Made before each attempt.
    fn clone_request(&self, request: &Req) -> Option<Req>;

    /// Whether the copy can be sent, now that an attempt has failed.
    fn is_sendable(&self, _request: &Req) -> bool {
        true
    }

    /// Until when the request is of use. A retry that would begin later is not made.
    fn deadline(&self, _request: &Req) -> Option<Instant> {
        None
    }

    /// Called with a copy that is to be sent now. `false` if it cannot be, after all.
    fn prepare(&self, _request: &mut Req) -> bool {
        true
    }
}

/// Tries again after every error.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct EveryError;

impl<Req: Clone, Res, E> Classify<Req, Res, E> for EveryError {
    #[inline]
    fn classify(&self, _request: &Req, result: Result<&Res, &E>) -> Verdict {
        match result {
            Ok(_) => Verdict::Success,
            Err(_) => Verdict::Retry,
        }
    }

    #[inline]
    fn clone_request(&self, request: &Req) -> Option<Req> {
        Some(request.clone())
    }
}

/// Judges by a closure; see [`Builder::retry_if`](crate::Builder::retry_if).
pub struct RetryIf<F, Req, Res, E> {
    judge: F,
    _marker: PhantomData<fn(Req, Res, E)>,
}

impl<F, Req, Res, E> RetryIf<F, Req, Res, E> {
    /// `judge` says [`Verdict::Retry`] or `true` to try again. A response for which it says no is a success, and an error a
    /// failure.
    pub const fn new<V>(judge: F) -> Self
    where
        F: Fn(&Req, Result<&Res, &E>) -> V,
        V: Into<Verdict>,
    {
        Self {
            judge,
            _marker: PhantomData,
        }
    }
}

// For the types that the judge takes, and not for those in its own type, which are there to infer the closure's. A `BoxError`
// among them would keep the compiler from proving that a spawned `async` block is `Send` (rust-lang/rust#64552).
impl<F, V, Req, Res, E, A, B, C> Classify<Req, Res, E> for RetryIf<F, A, B, C>
where
    F: Fn(&Req, Result<&Res, &E>) -> V,
    V: Into<Verdict>,
    Req: Clone,
{
    #[inline]
    fn classify(&self, request: &Req, result: Result<&Res, &E>) -> Verdict {
        let succeeded = result.is_ok();
        match (self.judge)(request, result).into() {
            Verdict::Failure if succeeded => Verdict::Success,
            verdict => verdict,
        }
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
