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

    /// Limits the number of in-flight requests: at least 1, by default 65,536. The service also limits them by not
    /// being ready.
    pub fn max_in_flight(self, requests: usize) -> Self {
        Self {
            calls: self.calls.limit(requests),
        }
    }

    /// Returns the service and cancels the requests in flight.
    ///
    /// # Panics
    ///
    /// If the service has been taken.
    pub fn into_inner(self) -> Svc {
        self.calls.into_service()
    }

    /// Takes the service. The stream may still be polled for the requests in flight.
    ///
    /// # Panics
    ///
    /// If the service has been taken already. Polling panics when it would have to send another request.
    pub fn take_service(self: Pin<&mut Self>) -> Svc {
        self.project().calls.take_service()
    }

    /// Yields results as they complete, in any order.
    ///
    /// # Panics
    ///
    /// If the stream has been polled.
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
