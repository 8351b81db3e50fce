//! Load by the number of requests in flight.

#[cfg(feature = "discover")]
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

#[cfg(feature = "discover")]
use futures_core::Stream;
#[cfg(feature = "discover")]
use tower_discover::{Change, Discover};
use tower_service::Service;

use crate::completion::{CompleteOnResponse, TrackCompletion, TrackCompletionFuture};
use crate::metric::Load;

/// Measures a service by its requests in flight.
///
/// # Cost
///
/// Two atomic additions per request, on one word that all requests of the service share, and no allocation. Two threads that
/// do nothing but that take twice the time of a counter that they share.
#[derive(Debug)]
pub struct PendingRequests<S, C = CompleteOnResponse> {
    service: S,
    pending: Counter,
    completion: C,
}

/// How many requests are in flight.
#[derive(Clone, Copy, Debug, Default, PartialOrd, PartialEq, Ord, Eq)]
pub struct Count(usize);

/// Counts the requests in flight of one or several [`PendingRequests`], for all to see.
///
/// # Clone
///
/// A clone is the same counter.
///
/// # Implementation notes
///
/// A request has to keep its counter alive, and to count. Both are one reference, to what nothing else
/// refers to but the counter, once.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<Pending>);

#[derive(Debug, Default)]
struct Pending {
    handles: Arc<Alone>,
}

/// Has its reference count in cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Alone;

impl Counter {
    /// How many there are.
    #[inline]
    pub fn get(&self) -> usize {
        Arc::strong_count(&self.0.handles) - 1
    }
}

/// One request in flight; drop it when the request is over.
#[derive(Debug)]
pub struct Handle(#[expect(dead_code, reason = "its reference is what counts")] Arc<Alone>);

impl<S, C> PendingRequests<S, C> {
    /// Counts the requests to `service`, each for as long as `completion` says.
    pub fn new(service: S, completion: C) -> Self {
        Self {
            service,
            pending: Counter::default(),
            completion,
        }
    }

    /// Counts in `counter`, which others may look at, and others may count in.
    pub fn with_counter(service: S, completion: C, counter: &Counter) -> Self {
        Self {
            service,
            pending: counter.clone(),
            completion,
        }
    }

    fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.pending.0.handles))
    }
}

impl Count {
    /// The number.
    pub const fn get(self) -> usize {
        self.0
    }
}

impl From<Count> for f64 {
    fn from(count: Count) -> Self {
        count.0 as Self
    }
}

impl<S, C> Load for PendingRequests<S, C> {
    type Metric = Count;

    fn load(&self) -> Count {
        Count(self.pending.get())
    }
}

impl<S, C, Request> Service<Request> for PendingRequests<S, C>
where
    S: Service<Request>,
    C: TrackCompletion<Handle, S::Response>,
{
    type Response = C::Output;
    type Error = S::Error;
    type Future = TrackCompletionFuture<S::Future, C, Handle>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, req: Request) -> Self::Future {
        TrackCompletionFuture::new(
            self.completion.clone(),
            self.handle(),
            self.service.call(req),
        )
    }
}

#[cfg(feature = "discover")]
pin_project_lite::pin_project! {
    /// Wraps each service that a [`Discover`] tells of in [`PendingRequests`].
    #[derive(Debug)]
    pub struct PendingRequestsDiscover<D, C = CompleteOnResponse> {
        #[pin]
        discover: D,
        completion: C,
    }
}

#[cfg(feature = "discover")]
impl<D, C> PendingRequestsDiscover<D, C> {
    /// Wraps the services of `discover`; their requests are counted for as long as `completion` says.
    pub const fn new<Request>(discover: D, completion: C) -> Self
    where
        D: Discover,
        D::Service: Service<Request>,
        C: TrackCompletion<Handle, <D::Service as Service<Request>>::Response>,
    {
        Self {
            discover,
            completion,
        }
    }
}

#[cfg(feature = "discover")]
impl<D, C> Stream for PendingRequestsDiscover<D, C>
where
    D: Discover,
    C: Clone,
{
    type Item = Result<Change<D::Key, PendingRequests<D::Service, C>>, D::Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        let change = std::task::ready!(this.discover.poll_discover(cx));
        Poll::Ready(change.map(|change| {
            Ok(match change? {
                Change::Insert(key, service) => {
                    Change::Insert(key, PendingRequests::new(service, this.completion.clone()))
                }
                Change::Remove(key) => Change::Remove(key),
            })
        }))
    }
}
