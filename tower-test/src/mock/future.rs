//! Response futures.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::sync::oneshot;

use super::error::{Closed, Error};

/// The response future of [`Mock`](super::Mock).
#[derive(Debug)]
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct ResponseFuture<T> {
    /// `None` if the handle was dropped before the call.
    answer: Option<oneshot::Receiver<Result<T, Error>>>,
}

impl<T> ResponseFuture<T> {
    pub(super) fn new(answer: oneshot::Receiver<Result<T, Error>>) -> Self {
        Self {
            answer: Some(answer),
        }
    }

    pub(super) fn closed() -> Self {
        Self { answer: None }
    }
}

impl<T> Future for ResponseFuture<T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(answer) = &mut self.answer else {
            return Poll::Ready(Err(Closed::new().into()));
        };
        match ready!(Pin::new(answer).poll(cx)) {
            Ok(result) => Poll::Ready(result),
            Err(_) => Poll::Ready(Err(Closed::new().into())),
        }
    }
}
