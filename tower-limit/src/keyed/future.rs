//! Response futures.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::BoxError;
use crate::error::LimitExceeded;
use crate::hold::HoldPermit;

pin_project! {
    /// The response future of a [`KeyedLimit`](super::KeyedLimit). Holds the request's permit `P` until the response is ready, or
    /// until it is dropped.
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct ResponseFuture<F, P> {
        #[pin]
        state: State<F, P>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, P> {
        Called { #[pin] response: F, permit: Option<P> },
        Refused { error: LimitExceeded },
    }
}

impl<F, P> ResponseFuture<F, P> {
    #[inline]
    pub(super) const fn called(response: F, permit: P) -> Self {
        Self {
            state: State::Called {
                response,
                permit: Some(permit),
            },
        }
    }

    pub(super) const fn refused(error: LimitExceeded) -> Self {
        Self {
            state: State::Refused { error },
        }
    }
}

impl<F, P, T, E> Future for ResponseFuture<F, P>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (output, permit) = ready!(self.poll_holding(cx));
        drop(permit);
        Poll::Ready(output)
    }
}

impl<F, P, T, E> HoldPermit for ResponseFuture<F, P>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Permit = P;

    #[inline]
    fn poll_holding(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<(Self::Output, Option<P>)> {
        match self.project().state.project() {
            StateProj::Called { response, permit } => {
                let output = ready!(response.poll(cx));
                Poll::Ready((output.map_err(Into::into), permit.take()))
            }
            StateProj::Refused { error } => Poll::Ready((Err(error.boxed()), None)),
        }
    }
}

impl<F, P> fmt::Debug for ResponseFuture<F, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.state {
            State::Called { .. } => "ResponseFuture(Called)",
            State::Refused { .. } => "ResponseFuture(Refused)",
        })
    }
}
