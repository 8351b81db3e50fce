use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::MAX_IN_FLIGHT;

pin_project! {
    /// The part that both streams share. `Q` holds the calls in flight and determines their order.
    pub(super) struct Calls<Svc, S, Q>
    where
        S: Stream,
    {
        service: Option<Svc>,
        #[pin]
        requests: S,
        // Taken from the stream; waits for the service to be ready.
        next: Option<S::Item>,
        in_flight: Q,
        max_in_flight: usize,
        // The stream has ended, or the service failed.
        ended: bool,
    }
}

/// A collection of futures, each of which is polled when it was woken.
pub(super) trait InFlight<F: Future> {
    fn len(&self) -> usize;
    fn push(&mut self, future: F);
    /// `Ready(None)` if it is empty.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<F::Output>>;
}

impl<Svc, S, Q> Calls<Svc, S, Q>
where
    Svc: Service<S::Item>,
    S: Stream,
    Q: InFlight<Svc::Future> + Default,
{
    pub(super) fn new(service: Svc, requests: S) -> Self {
        Self {
            service: Some(service),
            requests,
            next: None,
            in_flight: Q::default(),
            max_in_flight: MAX_IN_FLIGHT,
            ended: false,
        }
    }

    pub(super) fn limit(mut self, max_in_flight: usize) -> Self {
        self.max_in_flight = max_in_flight.max(1);
        self
    }

    pub(super) fn into_parts(mut self) -> (Svc, S) {
        assert!(
            self.in_flight.len() == 0 && self.next.is_none() && !self.ended,
            "the stream has already been polled"
        );
        (self.service.take().expect(TAKEN), self.requests)
    }

    pub(super) fn into_service(mut self) -> Svc {
        self.service.take().expect(TAKEN)
    }

    pub(super) fn take_service(self: Pin<&mut Self>) -> Svc {
        self.project().service.take().expect(TAKEN)
    }
}

impl<Svc, S, Q> Stream for Calls<Svc, S, Q>
where
    Svc: Service<S::Item>,
    S: Stream,
    Q: InFlight<Svc::Future>,
{
    type Item = Result<Svc::Response, Svc::Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        loop {
            if let Poll::Ready(Some(result)) = this.in_flight.poll(cx) {
                return Poll::Ready(Some(result));
            }
            if *this.ended {
                return if this.in_flight.len() == 0 {
                    Poll::Ready(None)
                } else {
                    Poll::Pending
                };
            }
            if this.in_flight.len() >= *this.max_in_flight {
                return Poll::Pending;
            }
            if this.next.is_none() {
                match ready!(this.requests.as_mut().poll_next(cx)) {
                    Some(request) => *this.next = Some(request),
                    None => {
                        *this.ended = true;
                        continue;
                    }
                }
            }
            let service = this.service.as_mut().expect(TAKEN);
            if let Err(error) = ready!(service.poll_ready(cx)) {
                *this.ended = true;
                return Poll::Ready(Some(Err(error)));
            }
            let request = this.next.take().expect("filled above");
            this.in_flight.push(service.call(request));
        }
    }
}

impl<Svc, S, Q> fmt::Debug for Calls<Svc, S, Q>
where
    Svc: fmt::Debug,
    S: Stream + fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls")
            .field("service", &self.service)
            .field("requests", &self.requests)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

const TAKEN: &str = "the service has been taken out";
