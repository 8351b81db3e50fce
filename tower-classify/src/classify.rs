use std::fmt;
use std::sync::Arc;

use crate::{Class, Failure, FailureKind};

/// Classifies the results of requests.
///
/// Closures `Fn(Result<&Res, &E>) -> Class` implement it. Use [`with_request`] if the classification depends on the
/// request, and [`ErrorIsFailure`] if every response is a success.
///
/// A layer passes the request on before there is a result. It therefore calls [`info`](Self::info) first, keeps the
/// returned value, and calls [`classify`](Self::classify) with it when the request completes. A request that is
/// cancelled is not classified.
///
/// # Example
///
/// An implementation for a protocol in which some requests are expected to fail:
///
/// ```
/// use tower_classify::{BoxError, Class, Classify, ErrorChain, FailureKind};
///
/// struct Probe { path: String }
/// struct Reply { status: u16 }
///
/// struct Mine;
///
/// impl Classify<Probe, Reply, BoxError> for Mine {
///     /// Whether a failure is expected.
///     type Info = bool;
///
///     fn info(&self, request: &Probe) -> bool {
///         request.path == "/chaos"
///     }
///
///     fn classify(&self, expected: &bool, result: Result<&Reply, &BoxError>) -> Class {
///         match result {
///             Ok(Reply { status: 500.. }) if *expected => Class::Ignored,
///             Ok(Reply { status: 500.. }) => Class::failure(FailureKind::Internal),
///             Ok(_) => Class::Success,
///             Err(error) => ErrorChain::class(error.as_ref()),
///         }
///     }
/// }
/// let chaos = Probe { path: "/chaos".into() };
/// assert_eq!(Mine.classify(&Mine.info(&chaos), Ok(&Reply { status: 500 })), Class::Ignored);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot classify the results of `{Req}`",
    note = "a closure takes `(Result<&{Res}, &{E}>)` and returns a `Class`; write down its argument's type",
    note = "for `http::Response` there is `HttpClassify` of the feature `http`"
)]
pub trait Classify<Req, Res, E> {
    /// The information about the request that the classification needs; `()` if it needs none.
    type Info;

    /// Returns the information about `request` that is kept until its result. Called before the request is sent.
    fn info(&self, request: &Req) -> Self::Info;

    /// Classifies the result of the request that `info` belongs to.
    fn classify(&self, info: &Self::Info, result: Result<&Res, &E>) -> Class;
}

impl<F, Req, Res, E> Classify<Req, Res, E> for F
where
    F: Fn(Result<&Res, &E>) -> Class,
{
    type Info = ();

    #[inline]
    fn info(&self, _request: &Req) {}

    #[inline]
    fn classify(&self, (): &(), result: Result<&Res, &E>) -> Class {
        self(result)
    }
}

/// Classifies every result as [`Class::Ignored`].
impl<Req, Res, E> Classify<Req, Res, E> for () {
    type Info = ();

    #[inline]
    fn info(&self, _request: &Req) {}

    #[inline]
    fn classify(&self, (): &(), _result: Result<&Res, &E>) -> Class {
        Class::Ignored
    }
}

impl<C, Req, Res, E> Classify<Req, Res, E> for Arc<C>
where
    C: Classify<Req, Res, E> + ?Sized,
{
    type Info = C::Info;

    #[inline]
    fn info(&self, request: &Req) -> C::Info {
        (**self).info(request)
    }

    #[inline]
    fn classify(&self, info: &C::Info, result: Result<&Res, &E>) -> Class {
        (**self).classify(info, result)
    }
}

/// Every response is a success, and every error a transient [`Unknown`](FailureKind::Unknown) failure. This is the
/// default of the layers that are not bound to a protocol.
#[derive(Clone, Copy, Debug, Default)]
pub struct ErrorIsFailure;

impl<Req, Res, E> Classify<Req, Res, E> for ErrorIsFailure {
    type Info = ();

    #[inline]
    fn info(&self, _request: &Req) {}

    #[inline]
    fn classify(&self, (): &(), result: Result<&Res, &E>) -> Class {
        match result {
            Ok(_) => Class::Success,
            Err(_) => Class::Failure(Failure::new(FailureKind::Unknown)),
        }
    }
}

/// Returns a classification by two closures: `info` returns what is kept of a request, and `classify` receives that
/// together with the result.
///
/// ```
/// use tower_classify::{Class, Classify, FailureKind, with_request};
///
/// // For a check, the response `false` is a success; for other requests it is a failure.
/// let classify = with_request(
///     |request: &&str| request.starts_with("check"),
///     |is_check: &bool, result: Result<&bool, &std::fmt::Error>| match result {
///         Ok(false) if !is_check => Class::failure(FailureKind::Internal),
///         Ok(_) => Class::Success,
///         Err(_) => Class::failure(FailureKind::Unknown),
///     },
/// );
/// let info = classify.info(&"check a");
/// assert_eq!(classify.classify(&info, Ok(&false)), Class::Success);
/// ```
pub const fn with_request<I, F, Req, Info, Res, E>(info: I, classify: F) -> WithRequest<I, F>
where
    I: Fn(&Req) -> Info,
    F: Fn(&Info, Result<&Res, &E>) -> Class,
{
    WithRequest { info, classify }
}

/// The classification that [`with_request`] returns.
#[derive(Clone, Copy)]
pub struct WithRequest<I, F> {
    info: I,
    classify: F,
}

impl<I, F, Info, Req, Res, E> Classify<Req, Res, E> for WithRequest<I, F>
where
    I: Fn(&Req) -> Info,
    F: Fn(&Info, Result<&Res, &E>) -> Class,
{
    type Info = Info;

    #[inline]
    fn info(&self, request: &Req) -> Info {
        (self.info)(request)
    }

    #[inline]
    fn classify(&self, info: &Info, result: Result<&Res, &E>) -> Class {
        (self.classify)(info, result)
    }
}

impl<I, F> fmt::Debug for WithRequest<I, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithRequest").finish_non_exhaustive()
    }
}
