//! Response futures.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

use crate::BoxError;

pin_project! {
    /// The response future of [`InjectFault`](crate::InjectFault).
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct ResponseFuture<F> {
        // Behind a pointer, since few requests have one.
        delay: Option<Pin<Box<Sleep>>>,
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Called { #[pin] response: F },
        Failing { error: Option<BoxError> },
    }
}

impl<F> ResponseFuture<F> {
    pub(crate) fn called(delay: Option<Duration>, response: F) -> Self {
        Self {
            delay: delay.map(|delay| Box::pin(sleep(delay))),
            state: State::Called { response },
        }
    }

    pub(crate) fn failing(delay: Option<Duration>, error: BoxError) -> Self {
        Self {
            delay: delay.map(|delay| Box::pin(sleep(delay))),
            state: State::Failing { error: Some(error) },
        }
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<R, E>>,
    E: Into<BoxError>,
{
    type Output = Result<R, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Some(delay) = this.delay {
            ready!(delay.as_mut().poll(cx));
            *this.delay = None;
        }
        match this.state.project() {
            StateProj::Called { response } => response.poll(cx).map_err(Into::into),
            StateProj::Failing { error } => {
                let error = error.take().expect("polled after it has completed");
                Poll::Ready(Err(error))
            }
        }
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Called { .. } => "Called",
            State::Failing { .. } => "Failing",
        };
        f.debug_struct("ResponseFuture")
            .field("delayed", &self.delay.is_some())
            .field("state", &format_args!("{state}"))
            .finish()
    }
}
