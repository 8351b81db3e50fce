use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::Unavailable;
use crate::BoxError;

pin_project! {
    /// The response of a [`FailFast`](super::FailFast).
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct ResponseFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProj]
    #[derive(Debug)]
    enum State<F> {
        Called { #[pin] response: F },
        Refused { error: Unavailable },
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn called(response: F) -> Self {
        Self {
            state: State::Called { response },
        }
    }

    pub(super) fn refused(error: Unavailable) -> Self {
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

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Called { response } => response.poll(cx).map_err(Into::into),
            StateProj::Refused { error } => Poll::Ready(Err(error.clone().into())),
        }
    }
}
