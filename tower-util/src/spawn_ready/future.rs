//! Response futures.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::BoxError;

pin_project! {
    /// The response future of [`SpawnReady`](super::SpawnReady).
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct ResponseFuture<F, E> {
        #[pin]
        inner: F,
        _error: PhantomData<fn(E)>,
    }
}

impl<F, E> ResponseFuture<F, E> {
    pub(super) const fn new(inner: F) -> Self {
        Self {
            inner,
            _error: PhantomData,
        }
    }
}

// The error is that of `F` rather than `E`: if `E` is a `BoxError`, the compiler cannot prove that a spawned `async`
// block with this future is `Send` (rust-lang/rust#64552).
impl<F, T, Error, E> Future for ResponseFuture<F, E>
where
    F: Future<Output = Result<T, Error>>,
    Error: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().inner.poll(cx).map_err(Into::into)
    }
}

impl<F, E> fmt::Debug for ResponseFuture<F, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
