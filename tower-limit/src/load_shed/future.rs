//! Response futures.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::error::Overloaded;
use crate::BoxError;

pin_project! {
    /// The response future of a [`LoadShed`](super::LoadShed).
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct ResponseFuture<F> {
        // `None` if the request was rejected.
        #[pin]
        response: Option<F>,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn called(response: F) -> Self {
        Self {
            response: Some(response),
        }
    }

    pub(super) fn overloaded() -> Self {
        Self { response: None }
    }
}

impl<F, T, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().response.as_pin_mut() {
            Some(response) => response.poll(cx).map_err(Into::into),
            None => Poll::Ready(Err(Overloaded::new().into())),
        }
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.response.is_some() {
            "ResponseFuture(Called)"
        } else {
            "ResponseFuture(Overloaded)"
        })
    }
}
