use std::future::Future;
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::BoxError;

pin_project! {
    /// The response future of [`Reconnect`](super::Reconnect).
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct ResponseFuture<F, E> {
        #[pin]
        state: State<F>,
        _error: PhantomData<fn(E)>,
    }
}

pin_project! {
    #[project = StateProj]
    #[derive(Debug)]
    enum State<F> {
        Called { #[pin] response: F },
        // Unwind safe, because it is only taken.
        Failed { error: AssertUnwindSafe<Option<BoxError>> },
    }
}

impl<F, E> ResponseFuture<F, E> {
    pub(super) const fn called(response: F) -> Self {
        Self {
            state: State::Called { response },
            _error: PhantomData,
        }
    }

    pub(super) const fn failed(error: BoxError) -> Self {
        Self {
            state: State::Failed {
                error: AssertUnwindSafe(Some(error)),
            },
            _error: PhantomData,
        }
    }
}

// No bound on `ME`: if it is a `BoxError`, the compiler cannot prove that a spawned `async` block with this future is
// `Send` (rust-lang/rust#64552).
impl<F, T, E, ME> Future for ResponseFuture<F, ME>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Called { response } => response.poll(cx).map_err(Into::into),
            StateProj::Failed { error } => {
                Poll::Ready(Err(error.take().expect("polled after it has finished")))
            }
        }
    }
}
