//! What is kept of an attempt that has lost while the others go on.

pub(crate) use self::sealed::Sealed;

/// Keeps the whole result, so that the response of the first attempt can be returned if all lose. The response future
/// is `Send` if the response is.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeepResults;

/// Keeps errors only, so that the response future is `Send` even if the response is not. A response that loses is
/// returned immediately, because it cannot be kept.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeepErrors;

/// What a [`Hedge`](crate::Hedge) keeps of an attempt that has lost: [`KeepErrors`] or [`KeepResults`].
pub trait Keep: Sealed {}

impl Keep for KeepResults {}
impl Keep for KeepErrors {}

mod sealed {
    use super::{KeepErrors, KeepResults};
    use crate::BoxError;

    #[expect(unnameable_types, reason = "that is how a trait is sealed")]
    pub trait Sealed {
        type Lost<Response>;

        /// Returns the response if it cannot be kept.
        fn keep<Response>(
            result: Result<Response, BoxError>,
        ) -> Result<Self::Lost<Response>, Response>;

        fn into_result<Response>(lost: Self::Lost<Response>) -> Result<Response, BoxError>;
    }

    impl Sealed for KeepResults {
        type Lost<Response> = Result<Response, BoxError>;

        fn keep<Response>(
            result: Result<Response, BoxError>,
        ) -> Result<Self::Lost<Response>, Response> {
            Ok(result)
        }

        fn into_result<Response>(lost: Self::Lost<Response>) -> Result<Response, BoxError> {
            lost
        }
    }

    impl Sealed for KeepErrors {
        type Lost<Response> = BoxError;

        fn keep<Response>(
            result: Result<Response, BoxError>,
        ) -> Result<Self::Lost<Response>, Response> {
            match result {
                Ok(response) => Err(response),
                Err(error) => Ok(error),
            }
        }

        fn into_result<Response>(lost: BoxError) -> Result<Response, BoxError> {
            Err(lost)
        }
    }
}
