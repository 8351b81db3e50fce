//! Load by latency, which peaks at once and fades slowly, times the requests in flight.

#[cfg(feature = "discover")]
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

#[cfg(feature = "discover")]
use futures_core::Stream;
#[cfg(feature = "discover")]
use tower_discover::{Change, Discover};
use tower_service::Service;

use crate::clock;
use crate::completion::{CompleteOnResponse, TrackCompletion, TrackCompletionFuture, Unanswered};
use crate::estimate::{Estimate, Outcome};
use crate::metric::Load;

/// Measures a service by an estimate of its latency times its requests in flight and one.
///
/// The estimate is an [`Ewma`](crate::Ewma) that takes a higher latency at once, and forgets it over the decay time. So a
/// service that becomes slow is left alone from the first slow answer on, and is tried again by and by.
///
/// # What a failing endpoint draws
///
/// A service that fails at once is never busy and seems to be fast, so that by its latency alone it would draw most of the
/// requests. Therefore failures weigh more than answers, the more of them there are in a row:
///
/// - A request that **fails** tells nothing of how long an answer takes. The first failure doubles what the service is
///   estimated at, each further one multiplies it by eight, whatever that is: milliseconds or minutes. Requests that were in
///   flight together and fail together are one failure. Each answer takes back half of it, on a logarithmic scale, so that a
///   single failure among many answers costs little.
/// - A service that **fails every request**, beside ten that work, draws well under 0.5 % of the requests: a few at first,
///   and then one at a time, as a trial, about every 20 s and the longer the slower the others are (up to ten minutes). After
///   some few answers it has its share again.
/// - A request that is **dropped** tells only that it would have taken longer; it never lowers the estimate.
/// - While requests are in flight, the estimate is no lower than the **time since the last answer**. A service that does
///   not answer at all looks worse and worse.
/// - A server that **asks for a pause**, as with `retry-after`, is left alone for that time, 300 s at most, unless all others
///   are as well.
///
/// An error is what the service's future returns: a response that tells of a failure, such as an HTTP 503, is a response.
/// Give [`Classified`](crate::Classified) as the completion to have such responses count as failures; for HTTP and gRPC there
/// is `http::HttpClassify`, behind the feature `http`. Without a classification a server that answers 503 at once draws
/// twice its share.
///
/// # Cost
///
/// Per request two readings of the clock and an `exp`; per reading of the load one of each, or with
/// [`at_recent_time`](crate::at_recent_time) none of the clock. No lock, and no allocation. More only while the service
/// fails.
///
/// The requests of one service write the same words: two additions for those in flight, two for a reference count, the time of
/// the answer, and the estimate if it changes. Threads whose requests to one service begin and end at the same time wait for
/// two cache lines; those with requests to different services do not.
///
/// # Differences from tower 0.5
///
/// There a failed or dropped request is a sample like any other, so that a service which fails in no time draws twice its
/// share; and the estimate of one that never answers fades to nothing, until it draws as much as there is.
#[derive(Debug)]
pub struct PeakEwma<S, C = CompleteOnResponse> {
    service: S,
    estimate: Arc<Estimate>,
    completion: C,
}

/// Latency in nanoseconds times requests in flight and one.
#[derive(Copy, Clone, Debug, PartialEq, PartialOrd)]
pub struct Cost(f64);

/// One request in flight. When it is dropped the request is over: answered after the time since it was sent, or what
/// [`set_outcome`](Handle::set_outcome) has said.
#[derive(Debug)]
pub struct Handle {
    sent_at: u64,
    estimate: Arc<Estimate>,
    outcome: Outcome,
}

impl<S, C> PeakEwma<S, C> {
    /// Measures `service`.
    ///
    /// `default_rtt` is the estimate until there is a measurement: several times what is usual, or a server that has just come is
    /// trusted too soon. `decay_ns` is the time in which an estimate fades to
    /// 1/e, in nanoseconds; 10 s (`1e10`) is usual. A decay that is not a number, or under 1 ms, counts as 1 ms.
    pub fn new(service: S, default_rtt: Duration, decay_ns: f64, completion: C) -> Self {
        let decay =
            Duration::try_from_secs_f64(decay_ns / NANOS_PER_SEC).unwrap_or(match decay_ns > 0.0 {
                true => Duration::MAX,
                false => Duration::ZERO,
            });
        Self::with_decay(service, default_rtt, decay, completion)
    }

    fn with_decay(service: S, default_rtt: Duration, decay: Duration, completion: C) -> Self {
        let estimate = Estimate::new(clock::now(), decay, default_rtt);
        Self {
            service,
            estimate: Arc::new(estimate),
            completion,
        }
    }

    fn handle(&self) -> Handle {
        let now = clock::now();
        self.estimate.begin(now);
        Handle {
            sent_at: now,
            estimate: Arc::clone(&self.estimate),
            outcome: Outcome::Answered,
        }
    }
}

impl Handle {
    /// What has become of the request, in place of an answer. For a [`TrackCompletion`] that knows more than that there was
    /// a response, such as [`Classified`](crate::Classified).
    pub fn set_outcome(&mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl<S, C, Request> Service<Request> for PeakEwma<S, C>
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
        .without_response(|mut handle, why| {
            handle.outcome = match why {
                Unanswered::Failed => Outcome::Failed,
                Unanswered::Dropped => Outcome::Dropped,
            };
        })
    }
}

/// Nanoseconds.
impl From<Cost> for f64 {
    fn from(cost: Cost) -> Self {
        cost.0
    }
}

impl<S, C> Load for PeakEwma<S, C> {
    type Metric = Cost;

    fn load(&self) -> Cost {
        Cost(self.estimate.cost(clock::now_or_recent()))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.estimate.end(self.sent_at, self.outcome, clock::now());
    }
}

#[cfg(feature = "discover")]
pin_project_lite::pin_project! {
    /// Wraps each service that a [`Discover`] tells of in [`PeakEwma`].
    #[derive(Debug)]
    pub struct PeakEwmaDiscover<D, C = CompleteOnResponse> {
        #[pin]
        discover: D,
        default_rtt: Duration,
        decay: Duration,
        completion: C,
    }
}

#[cfg(feature = "discover")]
impl<D, C> PeakEwmaDiscover<D, C> {
    /// Wraps the services of `discover`; for the other arguments see [`PeakEwma::new`].
    pub fn new<Request>(discover: D, default_rtt: Duration, decay: Duration, completion: C) -> Self
    where
        D: Discover,
        D::Service: Service<Request>,
        C: TrackCompletion<Handle, <D::Service as Service<Request>>::Response>,
    {
        Self {
            discover,
            default_rtt,
            decay,
            completion,
        }
    }
}

#[cfg(feature = "discover")]
impl<D, C> Stream for PeakEwmaDiscover<D, C>
where
    D: Discover,
    C: Clone,
{
    type Item = Result<Change<D::Key, PeakEwma<D::Service, C>>, D::Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        let change = std::task::ready!(this.discover.poll_discover(cx));
        Poll::Ready(change.map(|change| {
            Ok(match change? {
                Change::Insert(key, service) => {
                    let completion = this.completion.clone();
                    Change::Insert(
                        key,
                        PeakEwma::with_decay(service, *this.default_rtt, *this.decay, completion),
                    )
                }
                Change::Remove(key) => Change::Remove(key),
            })
        }))
    }
}

const NANOS_PER_SEC: f64 = 1e9;
