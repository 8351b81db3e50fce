//! Response futures.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_classify::Classify;

use crate::BoxError;
use crate::call::{InFlight, Ledger};

pub use crate::fallback::Rejected;

pin_project! {
    /// The response future of the services of this crate.
    ///
    /// `F` is the response future of the inner service, and `G` that of a request that was not sent. The other type
    /// parameters are private to the service that creates the future.
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct ResponseFuture<F, G, L, C, I, Req>
    where
        L: Ledger,
    {
        #[pin]
        state: State<F, G, L, C, I>,
        _request: PhantomData<fn(Req)>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, G, L, C, I>
    where
        L: Ledger,
    {
        Called {
            #[pin]
            response: F,
            // `None` once the result is known.
            in_flight: Option<InFlight<L, C>>,
            info: I,
        },
        Rejected {
            #[pin]
            answer: G,
        },
    }
}

impl<F, G, L: Ledger, C, I, Req> ResponseFuture<F, G, L, C, I, Req> {
    pub(crate) const fn called(response: F, in_flight: InFlight<L, C>, info: I) -> Self {
        Self {
            state: State::Called {
                response,
                in_flight: Some(in_flight),
                info,
            },
            _request: PhantomData,
        }
    }

    pub(crate) const fn rejected(answer: G) -> Self {
        Self {
            state: State::Rejected { answer },
            _request: PhantomData,
        }
    }
}

impl<F, G, L, C, Req, T, E> Future for ResponseFuture<F, G, L, C, C::Info, Req>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
    G: Future<Output = Result<T, BoxError>>,
    L: Ledger,
    C: Classify<Req, T, BoxError>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Called {
                response,
                in_flight,
                info,
            } => {
                let result = ready!(response.poll(cx)).map_err(Into::into);
                if let Some(in_flight) = in_flight.take() {
                    let class = in_flight.classify().classify(info, result.as_ref());
                    in_flight.end(class);
                }
                Poll::Ready(result)
            }
            StateProjection::Rejected { answer } => answer.poll(cx),
        }
    }
}

impl<F, G, L: Ledger, C, I, Req> fmt::Debug for ResponseFuture<F, G, L, C, I, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Called { .. } => "ResponseFuture(Called)",
            State::Rejected { .. } => "ResponseFuture(Rejected)",
        })
    }
}
