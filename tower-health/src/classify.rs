pub use crate::policy::accrual::Outcome;

/// Says of a response, or of an error, what it tells of the endpoint. A closure will do.
///
/// ```
/// use tower_health::{Classify, Outcome};
///
/// let classify = |result: Result<&u16, &&str>| match result {
///     Ok(500..) | Err(_) => Outcome::Failure,
///     Ok(400..) => Outcome::Ignored,
///     Ok(_) => Outcome::Success,
/// };
/// assert_eq!(classify.classify(Ok(&503)), Outcome::Failure);
/// ```
pub trait Classify<Res, E> {
    /// What the end of a request tells.
    fn classify(&self, result: Result<&Res, &E>) -> Outcome;
}

impl<F, Res, E> Classify<Res, E> for F
where
    F: Fn(Result<&Res, &E>) -> Outcome,
{
    fn classify(&self, result: Result<&Res, &E>) -> Outcome {
        self(result)
    }
}

/// An error is a failure, and each response a success.
#[derive(Clone, Copy, Debug, Default)]
pub struct ErrorIsFailure;

impl<Res, E> Classify<Res, E> for ErrorIsFailure {
    fn classify(&self, result: Result<&Res, &E>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::Failure,
        }
    }
}

/// It tells nothing.
impl<Res, E> Classify<Res, E> for () {
    fn classify(&self, _: Result<&Res, &E>) -> Outcome {
        Outcome::Ignored
    }
}
