use std::future::Future;

use futures_util::TryFutureExt;
use futures_util::future::ErrInto;

use crate::BoxError;

/// Checks a request, and may change it.
///
/// Implemented for each `FnMut(Request) -> Result<NewRequest, E>`.
pub trait Predicate<Request> {
    /// What the inner service gets.
    type Request;

    /// The request for the inner service, or why there is none.
    fn check(&mut self, request: Request) -> Result<Self::Request, BoxError>;
}

/// Checks a request with a future, and may change it.
///
/// Implemented for each `FnMut(Request) -> impl Future<Output = Result<NewRequest, E>>`.
pub trait AsyncPredicate<Request> {
    /// Yields the request for the inner service.
    type Future: Future<Output = Result<Self::Request, BoxError>>;

    /// What the inner service gets.
    type Request;

    /// The request for the inner service, or why there is none.
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
