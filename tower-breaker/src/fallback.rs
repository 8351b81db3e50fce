use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::BoxError;
use crate::error::Open;

/// Responds in place of the service while a breaker is open. Closures `Fn(Req, Open) -> impl Future` implement it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no fallback for requests of type `{Req}` with responses of type `{Res}`",
    note = "a closure takes `({Req}, Open)`, and returns a future of a `Result<{Res}, BoxError>`"
)]
pub trait Fallback<Req, Res> {
    /// The response.
    type Future: Future<Output = Result<Res, BoxError>>;

    /// Responds to a request that was not sent. `open` says why.
    fn respond(&self, request: Req, open: Open) -> Self::Future;
}

impl<F, Req, Res, Fut> Fallback<Req, Res> for F
where
    F: Fn(Req, Open) -> Fut,
    Fut: Future<Output = Result<Res, BoxError>>,
{
    type Future = Fut;

    fn respond(&self, request: Req, open: Open) -> Fut {
        self(request, open)
    }
}

/// No fallback: the request fails with [`Open`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Reject;

impl<Req, Res> Fallback<Req, Res> for Reject {
    type Future = Rejected<Res, Open>;

    fn respond(&self, _request: Req, open: Open) -> Rejected<Res, Open> {
        Rejected::new(open)
    }
}

/// The future of a request that was not sent: fails with the error `E`.
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Rejected<Res, E> {
    error: Option<E>,
    _response: PhantomData<fn() -> Res>,
}

impl<Res, E> Rejected<Res, E> {
    pub(crate) const fn new(error: E) -> Self {
        Self {
            error: Some(error),
            _response: PhantomData,
        }
    }
}

impl<Res, E: Into<BoxError> + Unpin> Future for Rejected<Res, E> {
    type Output = Result<Res, BoxError>;

    fn poll(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.error.take() {
            Some(error) => Poll::Ready(Err(error.into())),
            // Polled after completion.
            None => Poll::Pending,
        }
    }
}

impl<Res, E: fmt::Debug> fmt::Debug for Rejected<Res, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Rejected").field(&self.error).finish()
    }
}
