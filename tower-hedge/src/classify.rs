use std::time::Duration;

use crate::BoxError;

/// What an answer means while others may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the answer, and tells how long requests take.
    Win,
    /// It is the answer only if there is no better one. If all lose, the first request's is.
    Lose {
        /// Whether others are sent.
        next: Next,
    },
    /// It is the answer: the others could not do better. How long it took is not counted.
    Fatal,
}

/// What becomes of further requests when one has lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// They are sent as planned, as long as there is one to wait for: a hedge helps against slowness, not against failure.
    AsPlanned,
    /// The next one is sent at once: gRPC's rule for a status that is not fatal.
    Now,
    /// The next one is sent after so long, neither earlier nor later, as the server asks.
    After(Duration),
    /// There are none.
    Never,
}

/// Decides which answer counts.
///
/// Closures implement it: `|result: Result<&Response, &BoxError>| ...`.
pub trait Classify<Response> {
    /// What this answer means. Asked about each, also when there was only one request: by it, answers that do not win are
    /// kept from being measured.
    fn classify(&self, result: Result<&Response, &BoxError>) -> Verdict;
}

impl<F, Response> Classify<Response> for F
where
    F: Fn(Result<&Response, &BoxError>) -> Verdict,
{
    fn classify(&self, result: Result<&Response, &BoxError>) -> Verdict {
        self(result)
    }
}

/// The first success wins. The default.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct FirstOk;

impl<Response> Classify<Response> for FirstOk {
    fn classify(&self, result: Result<&Response, &BoxError>) -> Verdict {
        match result {
            Ok(_) => Verdict::Win,
            Err(_) => Verdict::Lose {
                next: Next::AsPlanned,
            },
        }
    }
}
