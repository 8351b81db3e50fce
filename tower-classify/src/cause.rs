use std::error::Error;
use std::fmt;

use crate::{BoxError, Class, Classify, FailureKind};

/// Finds an error of type `T` in `error` or among its [sources](Error::source).
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
    chain(error).find_map(|error| error.downcast_ref())
}

/// Marks the error of a request that was provably never processed. A client wraps its failures to connect in it.
///
/// [`ErrorChain`] classifies it as [`Class::Unsent`].
#[derive(Debug)]
pub struct Unsent(BoxError);

impl Unsent {
    /// The request was not sent because of `cause`.
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

/// Classifies an error by itself and its sources; every response is a success.
///
/// | in the chain | class |
/// |---|---|
/// | [`Unsent`] | `Unsent` |
/// | feature `h2`: a stream that was refused, or a graceful GOAWAY that does not cover it (RFC 9113, 8.7 and 6.8) | `Unsent` |
/// | feature `hyper`: a request that the connection did not take any more | `Unsent` |
/// | an I/O error [`TimedOut`](std::io::ErrorKind::TimedOut) | `Timeout` |
/// | anything else | `Disconnected` |
///
/// An I/O error such as `ConnectionRefused` is not taken as `Unsent`: a connection that was lost on the way may be refused or
/// unreachable as well as one that was never made. Only the client knows; let it say [`Unsent`].
#[derive(Clone, Copy, Debug, Default)]
pub struct ErrorChain;

impl ErrorChain {
    /// Classifies an error.
    pub fn class(error: &(dyn Error + 'static)) -> Class {
        let mut class = Class::failure(FailureKind::Disconnected);
        for error in chain(error) {
            if is_unsent(error) {
                return Class::Unsent;
            }
            let io = error.downcast_ref::<std::io::Error>();
            if io.is_some_and(|io| io.kind() == std::io::ErrorKind::TimedOut) {
                class = Class::failure(FailureKind::Timeout);
            }
        }
        class
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

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
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
        // hyper gives it to a request that it has in its queue when the connection closes.
        return error.is_canceled();
    }
    error.is::<Unsent>()
}
