//! Response futures.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tower_service::Service;
use tower_util::Oneshot;

use super::flight::Call;
use super::flights::Ticket;
use crate::BoxError;

pin_project! {
    /// The response future of [`Coalesce`](super::Coalesce).
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct ResponseFuture<S, Req, K>
    where
        S: Service<Req>,
        K: Eq,
    {
        #[pin]
        state: State<Oneshot<S, Req>, K, S::Response>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<A, K, R>
    where
        K: Eq,
    {
        Alone { #[pin] response: A },
        // It was to be shared, and there was no room for its key.
        Boxed { call: Call<R> },
        Shared { ticket: Ticket<K, R> },
    }
}

impl<S, Req, K> ResponseFuture<S, Req, K>
where
    S: Service<Req>,
    K: Eq,
{
    pub(super) const fn alone(response: Oneshot<S, Req>) -> Self {
        Self {
            state: State::Alone { response },
        }
    }

    pub(super) const fn boxed(call: Call<S::Response>) -> Self {
        Self {
            state: State::Boxed { call },
        }
    }

    pub(super) const fn shared(ticket: Ticket<K, S::Response>) -> Self {
        Self {
            state: State::Shared { ticket },
        }
    }
}

impl<S, Req, K> Future for ResponseFuture<S, Req, K>
where
    S: Service<Req, Response: Clone + Send + Sync + 'static, Error: Into<BoxError>>,
    K: Eq + Send + Sync + 'static,
{
    type Output = Result<S::Response, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Alone { response } => response.poll(cx).map_err(Into::into),
            StateProj::Boxed { call } => call.as_mut().poll(cx),
            StateProj::Shared { ticket } => ticket.poll(cx),
        }
    }
}

impl<S, Req, K> fmt::Debug for ResponseFuture<S, Req, K>
where
    S: Service<Req>,
    K: Eq,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Alone { .. } => "ResponseFuture(Alone)",
            State::Boxed { .. } => "ResponseFuture(Boxed)",
            State::Shared { .. } => "ResponseFuture(Shared)",
        })
    }
}
