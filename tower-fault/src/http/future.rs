//! Response futures.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Response, StatusCode};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

use super::FaultBody;
use crate::BoxError;

pin_project! {
    /// The response future of [`InjectHttpFault`](super::InjectHttpFault).
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
        Called { #[pin] response: F, body_bytes: Option<u64> },
        Responding { status: StatusCode },
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn called(delay: Option<Duration>, response: F, body_bytes: Option<u64>) -> Self {
        Self {
            delay: delay.map(|delay| Box::pin(sleep(delay))),
            state: State::Called {
                response,
                body_bytes,
            },
        }
    }

    pub(super) fn responding(delay: Option<Duration>, status: StatusCode) -> Self {
        Self {
            delay: delay.map(|delay| Box::pin(sleep(delay))),
            state: State::Responding { status },
        }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<FaultBody<B>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Some(delay) = this.delay {
            ready!(delay.as_mut().poll(cx));
            *this.delay = None;
        }
        Poll::Ready(match this.state.project() {
            StateProj::Called {
                response,
                body_bytes,
            } => match ready!(response.poll(cx)) {
                Ok(response) => Ok(response.map(|body| FaultBody::new(body, *body_bytes))),
                Err(error) => Err(error.into()),
            },
            StateProj::Responding { status } => {
                let mut response = Response::new(FaultBody::empty());
                *response.status_mut() = *status;
                Ok(response)
            }
        })
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("delayed", &self.delay.is_some())
            .finish_non_exhaustive()
    }
}
