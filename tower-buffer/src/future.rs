//! Response futures.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::BoxError;
use crate::error::Failure;
use crate::ticket::Ticket;

pin_project! {
    /// The response of a [`Buffer`](crate::Buffer).
    #[derive(Debug)]
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct ResponseFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Queued { ticket: Ticket<ResponseFuture<F>> },
        Called { #[pin] response: F, errors: Errors<F> },
        Failed { error: Failure },
    }
}

// The bounds on the future's error and lifetime are known where the buffer is made. They are not repeated where it is used:
// there the compiler cannot prove them in a spawned `async` block, for a boxed future ("not general enough").

/// Boxes the errors of `F`. Called only if there is one.
type Errors<F> = fn() -> Box<dyn BoxErrors<F>>;

trait BoxErrors<F> {
    fn boxed(&self, error: F::Error) -> BoxError
    where
        F: Fallible;
}

struct ByInto;

impl<F: Fallible<Error: Into<BoxError>>> BoxErrors<F> for ByInto {
    fn boxed(&self, error: F::Error) -> BoxError {
        error.into()
    }
}

/// A future of a `Result`, with names for both of its types.
trait Fallible: Future<Output = Result<Self::Value, Self::Error>> {
    type Value;
    type Error;
}

impl<F, T, E> Fallible for F
where
    F: Future<Output = Result<T, E>>,
{
    type Value = T;
    type Error = E;
}

impl<F> ResponseFuture<F> {
    pub(crate) fn queued(ticket: Ticket<Self>) -> Self {
        Self {
            state: State::Queued { ticket },
        }
    }

    pub(crate) fn called<T, E>(response: F) -> Self
    where
        F: Future<Output = Result<T, E>>,
        E: Into<BoxError>,
    {
        Self {
            state: State::Called {
                response,
                errors: || Box::new(ByInto),
            },
        }
    }

    pub(crate) fn failed(error: Failure) -> Self {
        Self {
            state: State::Failed { error },
        }
    }
}

impl<F, T, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                // ## Queued => Called | Failed
                StateProj::Queued { ticket } => {
                    let replied = ready!(ticket.poll_reply(cx));
                    state.set(replied.state);
                }
                StateProj::Called { response, errors } => {
                    return response.poll(cx).map_err(|error| errors().boxed(error));
                }
                StateProj::Failed { error } => return Poll::Ready(Err(error.clone().into())),
            }
        }
    }
}

impl<F> fmt::Debug for State<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queued { .. } => f.write_str("Queued"),
            Self::Called { .. } => f.write_str("Called"),
            Self::Failed { error } => f.debug_tuple("Failed").field(error).finish(),
        }
    }
}
