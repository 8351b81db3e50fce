use std::future::Future;

use futures_util::TryFutureExt;
use futures_util::future::ErrInto;

use crate::BoxError;

/// Checks a request, and may change it.
///
/// Implemented for each `FnMut(Request) -> Result<NewRequest, E>`.
pub trait Predicate<Request> {
    /// The request that is sent to the inner service.
    type Request;

    /// Returns the request for the inner service, or the error to reject it with.
    fn check(&mut self, request: Request) -> Result<Self::Request, BoxError>;
}

/// Checks a request asynchronously, and may change it.
///
/// Implemented for each `FnMut(Request) -> impl Future<Output = Result<NewRequest, E>>`.
pub trait AsyncPredicate<Request> {
    /// The future of the request for the inner service.
    type Future: Future<Output = Result<Self::Request, BoxError>>;

    /// The request that is sent to the inner service.
    type Request;

    /// Returns a future of the request for the inner service, or of the error to reject it with.
    fn check(&mut self, request: Request) -> Self::Future;
}

impl<F, T, R, E> Predicate<T> for F
where
    F: FnMut(T) -> Result<R, E>,
    E: Into<BoxError>,
{
    type Request = R;

    fn check(&mut self, request: T) -> Result<R, BoxError> {
        self(request).map_err(Into::into)
    }
}

impl<F, T, U, R, E> AsyncPredicate<T> for F
where
    F: FnMut(T) -> U,
    U: Future<Output = Result<R, E>>,
    E: Into<BoxError>,
{
    type Future = ErrInto<U, BoxError>;
    type Request = R;

    fn check(&mut self, request: T) -> Self::Future {
        self(request).err_into()
    }
}
