use std::time::Duration;

pub(crate) use self::sealed::Keep;
use crate::BoxError;

/// What a result means while other attempts may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is returned, and its latency is recorded.
    Win,
    /// It is returned only if no attempt wins. If all lose, the result of the first attempt is returned.
    Lose {
        /// Whether further attempts are sent.
        next: Next,
    },
    /// It is returned: other attempts would not do better. Its latency is not recorded.
    Fatal,
}

/// What happens to further attempts after one has lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// They are sent as planned while another attempt is in flight: a hedge helps against slowness, not against
    /// failure.
    AsPlanned,
    /// The next one is sent immediately, as in gRPC after a non-fatal status.
    Now,
    /// The next one is sent after this time, neither earlier nor later: the server's pushback.
    After(Duration),
    /// None is sent.
    Never,
}

/// Decides which result is returned.
///
/// Closures implement it: `|result: Result<&Response, &BoxError>| ...`.
pub trait Classify<Response> {
    /// What is kept of a result that loses until the call is decided: `Result<Response, BoxError>`, or only the
    /// `BoxError` if no response ever loses. In the latter case the response future can be `Send` even if the response
    /// is not.
    type Lost: Lost<Response>;

    /// Classifies a result. Called for every result, also if there was only one attempt, because the latency of a
    /// result that does not win is not recorded.
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

/// The first success wins. This is the default.
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

/// What can be kept of a result: all of it, as `Result<Response, BoxError>`, or only its `BoxError`.
///
/// If only errors are kept, a response that loses is returned nevertheless.
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
