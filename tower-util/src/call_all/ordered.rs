use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_util::stream::FuturesOrdered;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::common::{Calls, InFlight};

pin_project! {
    /// The results of a stream of requests, in the order of the requests; see
    /// [`ServiceExt::call_all`](crate::ServiceExt::call_all).
    #[derive(Debug)]
    #[must_use = "streams do nothing unless polled"]
    pub struct CallAll<Svc, S>
    where
        Svc: Service<S::Item>,
        S: Stream,
    {
        #[pin]
        calls: Calls<Svc, S, FuturesOrdered<Svc::Future>>,
    }
}

impl<Svc, S> CallAll<Svc, S>
where
    Svc: Service<S::Item>,
    S: Stream,
{
    /// Sends all of `requests` to `service`.
    pub fn new(service: Svc, requests: S) -> Self {
        Self {
            calls: Calls::new(service, requests),
        }
    }

    /// At most so many requests are in flight at a time: at least 1, by default 65,536. Besides, the service itself
    /// limits them by not being ready.
    pub fn max_in_flight(self, requests: usize) -> Self {
        Self {
            calls: self.calls.limit(requests),
        }
    }

    /// Gives the service back; what is in flight is cancelled.
    ///
    /// # Panics
    ///
    /// If the service has been taken out.
    pub fn into_inner(self) -> Svc {
        self.calls.into_service()
    }

    /// Takes the service out: only what is in flight may still be polled for.
    ///
    /// # Panics
    ///
    /// If the service has been taken out already. Polling panics when a further request would have to be sent.
    pub fn take_service(self: Pin<&mut Self>) -> Svc {
        self.project().calls.take_service()
    }

    /// Yields results as they come, in any order.
    ///
    /// # Panics
    ///
    /// If it has been polled.
    pub fn unordered(self) -> super::CallAllUnordered<Svc, S> {
        let (service, requests) = self.calls.into_parts();
        super::CallAllUnordered::new(service, requests)
    }
}

impl<Svc, S> Stream for CallAll<Svc, S>
where
    Svc: Service<S::Item>,
    S: Stream,
{
    type Item = Result<Svc::Response, Svc::Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.project().calls.poll_next(cx)
    }
}

impl<F: Future> InFlight<F> for FuturesOrdered<F> {
    fn len(&self) -> usize {
        self.len()
    }

    fn push(&mut self, future: F) {
        self.push_back(future);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
        Pin::new(self).poll_next(cx)
    }
}
