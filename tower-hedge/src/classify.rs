use std::time::Duration;

pub(crate) use self::sealed::Keep;
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
    /// What is kept of an answer that loses until all is decided: `Result<Response, BoxError>`, or only the `BoxError`
    /// where no response ever loses. The response future can then be `Send` even if the response is not.
    type Lost: Lost<Response>;

    /// What this answer means. Asked about each, also when there was only one request: by it, answers that do not win are
    /// kept from being measured.
    fn classify(&self, result: Result<&Response, &BoxError>) -> Verdict;
}

impl<F, Response> Classify<Response> for F
where
    F: Fn(Result<&Response, &BoxError>) -> Verdict,
{
    type Lost = Result<Response, BoxError>;

    fn classify(&self, result: Result<&Response, &BoxError>) -> Verdict {
        self(result)
    }
}

/// The first success wins. The default.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct FirstOk;

impl<Response> Classify<Response> for FirstOk {
    type Lost = BoxError;

    fn classify(&self, result: Result<&Response, &BoxError>) -> Verdict {
        match result {
            Ok(_) => Verdict::Win,
            Err(_) => Verdict::Lose {
                next: Next::AsPlanned,
            },
        }
    }
}

/// What can be kept of an answer: all of it, `Result<Response, BoxError>`, or only its `BoxError`.
///
/// Where only errors are kept, a response that loses nevertheless is the answer.
pub trait Lost<Response>: Keep<Response> {}

impl<L: Keep<Response>, Response> Lost<Response> for L {}

mod sealed {
    use crate::BoxError;

    #[expect(unnameable_types, reason = "that is how a trait is sealed")]
    pub trait Keep<Response>: Sized {
        fn keep(answer: Result<Response, BoxError>) -> Result<Self, Response>;

        fn answer(self) -> Result<Response, BoxError>;
    }

    impl<Response> Keep<Response> for Result<Response, BoxError> {
        fn keep(answer: Self) -> Result<Self, Response> {
            Ok(answer)
        }

        fn answer(self) -> Self {
            self
        }
    }

    impl<Response> Keep<Response> for BoxError {
        fn keep(answer: Result<Response, Self>) -> Result<Self, Response> {
            match answer {
                Ok(response) => Err(response),
                Err(error) => Ok(error),
            }
        }

        fn answer(self) -> Result<Response, Self> {
            Err(self)
        }
    }
}
