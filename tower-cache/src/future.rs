//! Response futures.

use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_readiness::{Observer, event};
use tower_service::Service;
use tower_util::Oneshot;

use crate::keep::Keep;
use crate::store::Vacancy;
use crate::{Event, Store};

pin_project! {
    /// The response future of [`Cache`](crate::Cache).
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct ResponseFuture<S, Req, K, P>
    where
        S: Service<Req>,
    {
        #[pin]
        state: State<Oneshot<S, Req>, S::Response, Miss<K, S::Response, P>>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<R, V, M> {
        Hit { response: Option<V> },
        // Without a miss, the response is not stored.
        Called { #[pin] response: R, miss: Option<M> },
    }
}

/// Where to store a response.
pub(crate) struct Miss<K, V, P> {
    pub(crate) vacancy: Vacancy<K>,
    pub(crate) store: Store<K, V>,
    pub(crate) keep: P,
    pub(crate) observer: Observer<Event>,
}

impl<S, Req, K, P> ResponseFuture<S, Req, K, P>
where
    S: Service<Req>,
{
    pub(crate) const fn hit(response: S::Response) -> Self {
        Self {
            state: State::Hit {
                response: Some(response),
            },
        }
    }

    pub(crate) const fn called(
        response: Oneshot<S, Req>,
        miss: Option<Miss<K, S::Response, P>>,
    ) -> Self {
        Self {
            state: State::Called { response, miss },
        }
    }
}

impl<S, Req, K, P> Future for ResponseFuture<S, Req, K, P>
where
    S: Service<Req, Response: Clone>,
    K: Hash + Eq,
    P: Keep<S::Response>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Hit { response } => {
                Poll::Ready(Ok(response.take().expect("polled after it has completed")))
            }
            StateProj::Called { response, miss } => {
                let response = ready!(response.poll(cx))?;
                if let Some(miss) = miss.take()
                    && miss.keep.keeps(&response)
                    && miss.store.fill(miss.vacancy, response.clone())
                {
                    event!(DEBUG, "cache full: evicted a response");
                    miss.observer.notify(&Event::Evicted);
                }
                Poll::Ready(Ok(response))
            }
        }
    }
}

impl<S, Req, K, P> fmt::Debug for ResponseFuture<S, Req, K, P>
where
    S: Service<Req>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Hit { .. } => "ResponseFuture(Hit)",
            State::Called { .. } => "ResponseFuture(Called)",
        })
    }
}
