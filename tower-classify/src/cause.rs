use std::error::Error;
use std::fmt;

use crate::{BoxError, Class, Classify, FailureKind, Refusal};

/// Returns `error`, its [source](Error::source), the source of that, and so on.
pub fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// Returns the first error of type `T` in the chain of `error` and its [sources](Error::source), or `None`.
///
/// ```
/// use tower_classify::{BoxError, Unsent, cause_ref};
///
/// let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
/// let error = BoxError::from(Unsent::new(refused));
/// assert!(cause_ref::<Unsent>(error.as_ref()).is_some());
/// let io = cause_ref::<std::io::Error>(error.as_ref()).unwrap();
/// assert_eq!(io.kind(), std::io::ErrorKind::ConnectionRefused);
/// ```
pub fn cause_ref<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    causes(error).find_map(|error| error.downcast_ref())
}

/// The error of a request that was certainly not processed. A client wraps its connect errors in this type.
///
/// [`ErrorChain`] classifies it as [`Class::Unsent`].
#[derive(Debug)]
pub struct Unsent(BoxError);

impl Unsent {
    /// Wraps `cause`, the reason why the request was not sent. It is the [source](Error::source) of the error.
    pub fn new(cause: impl Into<BoxError>) -> Self {
        Self(cause.into())
    }
}

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request was not sent")
    }
}

impl Error for Unsent {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

/// Classifies an error by the chain of the error and its sources; every response is a success.
///
/// | in the chain | class |
/// |---|---|
/// | [`Unsent`] | `Unsent` |
/// | feature `h2`: a stream that was refused, or a graceful GOAWAY that does not cover it (RFC 9113, 8.7 and 6.8) | `Unsent` |
/// | feature `hyper`: a request that was still queued when its connection closed | `Unsent` |
/// | a [`Refusal`] | [its class](Refusal::class) |
/// | an I/O error [`TimedOut`](std::io::ErrorKind::TimedOut) | `Timeout` |
/// | anything else | `Disconnected` |
///
/// `Unsent` goes first, wherever it is in the chain; of the others, the outermost decides.
///
/// An I/O error such as `ConnectionRefused` is not `Unsent`, because it may also come from a connection that was lost
/// after the request was sent. Only the client knows, and must wrap the error in [`Unsent`].
#[derive(Clone, Copy, Debug, Default)]
pub struct ErrorChain;

impl ErrorChain {
    /// Classifies an error.
    pub fn class(error: &(dyn Error + 'static)) -> Class {
        if causes(error).any(is_unsent) {
            return Class::Unsent;
        }
        let known = causes(error).find_map(known_class);
        known.unwrap_or(Class::failure(FailureKind::Disconnected))
    }
}

impl<Req, Res> Classify<Req, Res, BoxError> for ErrorChain {
    type Info = ();

    #[inline]
    fn info(&self, _request: &Req) {}

    #[inline]
    fn classify(&self, (): &(), result: Result<&Res, &BoxError>) -> Class {
        match result {
            Ok(_) => Class::Success,
            Err(error) => Self::class(error.as_ref()),
        }
    }
}

fn known_class(error: &(dyn Error + 'static)) -> Option<Class> {
    if let Some(refusal) = error.downcast_ref::<Refusal>() {
        return Some(refusal.class());
    }
    let io = error.downcast_ref::<std::io::Error>()?;
    (io.kind() == std::io::ErrorKind::TimedOut).then(|| Class::failure(FailureKind::Timeout))
}

fn is_unsent(error: &(dyn Error + 'static)) -> bool {
    #[cfg(feature = "h2")]
    if let Some(error) = error.downcast_ref::<h2::Error>() {
        let closed =
            error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR);
        return closed || error.reason() == Some(h2::Reason::REFUSED_STREAM);
    }
    #[cfg(feature = "hyper")]
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        // hyper returns this error for a request that is still queued when the connection closes.
        return error.is_canceled();
    }
    error.is::<Unsent>()
}
