//! Load measured as the number of requests in flight.

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

/// Measures the load of a service as its number of requests in flight.
///
/// # Cost
///
/// Per request, two atomic additions to one word that all requests of the service share. No allocation. If two threads
/// send requests at the same time, this takes twice as long as incrementing a plain shared counter.
#[derive(Debug)]
pub struct PendingRequests<S, C = CompleteOnResponse> {
    service: S,
    pending: Counter,
    completion: C,
}

/// The number of requests in flight.
#[derive(Clone, Copy, Debug, Default, PartialOrd, PartialEq, Ord, Eq)]
pub struct Count(usize);

/// Counts the requests in flight of one or several [`PendingRequests`].
///
/// # Clone
///
/// Clones share the count.
///
/// # Implementation notes
///
/// Each request in flight holds one reference to an `Arc` to which otherwise only the counter itself holds one. The
/// reference count is therefore the number of requests in flight plus one, and the same atomic addition keeps the
/// counter alive.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<Pending>);

#[derive(Debug, Default)]
struct Pending {
    handles: Arc<Padded>,
}

/// Aligned so that its reference count shares no cache line with other data.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Padded;

impl Counter {
    /// Returns the number of requests in flight.
    #[inline]
    pub fn get(&self) -> usize {
        Arc::strong_count(&self.0.handles) - 1
    }
}

/// Represents one request in flight, which is complete when the handle is dropped.
#[derive(Debug)]
pub struct Handle(#[expect(dead_code, reason = "it is held for its reference count")] Arc<Padded>);

impl<S, C> PendingRequests<S, C> {
    /// Measures `service`; `completion` decides when a request is complete.
    pub fn new(service: S, completion: C) -> Self {
        Self {
            service,
            pending: Counter::default(),
            completion,
        }
    }

    /// Like [`new`](Self::new), with a counter that other services may share and that can be read elsewhere. The load
    /// is the value of `counter`.
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
    /// Returns the number of requests.
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
    /// Wraps each service from a [`Discover`] in [`PendingRequests`].
    #[derive(Debug)]
    pub struct PendingRequestsDiscover<D, C = CompleteOnResponse> {
        #[pin]
        discover: D,
        completion: C,
    }
}

#[cfg(feature = "discover")]
impl<D, C> PendingRequestsDiscover<D, C> {
    /// Wraps the services from `discover`; `completion` decides when their requests are complete.
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
