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
    /// The response future of a [`Refuse`](super::Refuse).
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct ResponseFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Called { #[pin] response: F },
        Refused { error: LimitExceeded },
    }
}

impl<F> ResponseFuture<F> {
    #[inline]
    pub(super) const fn called(response: F) -> Self {
        Self {
            state: State::Called { response },
        }
    }

    pub(super) const fn refused(error: LimitExceeded) -> Self {
        Self {
            state: State::Refused { error },
        }
    }
}

impl<F, T, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Called { response } => response.poll(cx).map_err(Into::into),
            StateProj::Refused { error } => Poll::Ready(Err(error.boxed())),
        }
    }
}

impl<F, T, E> HoldPermit for ResponseFuture<F>
where
    F: HoldPermit<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Permit = F::Permit;

    #[inline]
    fn poll_holding(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<(Self::Output, Option<F::Permit>)> {
        match self.project().state.project() {
            StateProj::Called { response } => {
                let (output, permit) = ready!(response.poll_holding(cx));
                Poll::Ready((output.map_err(Into::into), permit))
            }
            StateProj::Refused { error } => Poll::Ready((Err(error.boxed()), None)),
        }
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.state {
            State::Called { .. } => "ResponseFuture(Called)",
            State::Refused { .. } => "ResponseFuture(Refused)",
        })
    }
}
