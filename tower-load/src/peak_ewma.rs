//! Load by latency, which peaks at once and fades slowly, times the requests in flight.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tower_classify::{Class, Classify, ErrorIsFailure};
use tower_service::Service;

#[cfg(feature = "discover")]
mod discover;

#[cfg(feature = "discover")]
pub use self::discover::PeakEwmaDiscover;
use crate::clock;
use crate::completion::{CompleteOnResponse, TrackCompletion, TrackCompletionFuture};
use crate::estimate::Estimate;
use crate::metric::Load;
use crate::note::NoteClass;

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
/// By default a request fails if the service's future returns an error. An HTTP 503 is a response, so a server that sends it
/// at once draws twice its share. Set a [classification](PeakEwma::classify) to have such responses count as failures; for HTTP
/// and gRPC there is `tower_classify::http::HttpClassify`.
///
/// # Example
///
/// A server that refuses at once is the fastest of all, unless its refusals count as failures:
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use std::convert::Infallible;
/// use std::time::Duration;
/// use tower_classify::{Class, FailureKind};
/// use tower_load::{CompleteOnResponse, Load, PeakEwma};
/// use tower_service::Service;
///
/// # struct Server(u16, Duration);
/// # impl Service<()> for Server {
/// #     type Response = u16; type Error = Infallible;
/// #     type Future = std::pin::Pin<Box<dyn Future<Output = Result<u16, Infallible>>>>;
/// #     fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
/// #         std::task::Poll::Ready(Ok(()))
/// #     }
/// #     fn call(&mut self, (): ()) -> Self::Future {
/// #         let (status, takes) = (self.0, self.1);
/// #         Box::pin(async move { tokio::time::sleep(takes).await; Ok(status) })
/// #     }
/// # }
/// let classify = |result: Result<&u16, &Infallible>| match result {
///     Ok(500..) => Class::failure(FailureKind::Internal),
///     _ => Class::Success,
/// };
/// let ms = Duration::from_millis;
/// let measured = |server| {
///     PeakEwma::new(server, ms(100), 1e10, CompleteOnResponse::default()).classify(classify)
/// };
/// let mut works = measured(Server(200, ms(100)));
/// let mut refuses = measured(Server(503, ms(1)));
///
/// works.call(()).await.unwrap();
/// refuses.call(()).await.unwrap();
/// assert!(works.load() < refuses.load());
/// # }
/// ```
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
pub struct PeakEwma<S, C = CompleteOnResponse, K = ErrorIsFailure> {
    service: S,
    estimate: Arc<Estimate>,
    completion: C,
    classify: K,
}

/// Latency in nanoseconds times requests in flight and one.
#[derive(Copy, Clone, Debug, PartialEq, PartialOrd)]
pub struct Cost(f64);

/// One request in flight. When it is dropped the request is over, with a result of the class that the classification gave its
/// response, or that was [set](Handle::set_class) since.
#[derive(Debug)]
pub struct Handle {
    sent_at: u64,
    estimate: Arc<Estimate>,
    /// `None` until there is a result.
    class: Option<Class>,
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
            classify: ErrorIsFailure,
        }
    }
}

impl<S, C, K> PeakEwma<S, C, K> {
    /// Sets how results are classified: a closure `Fn(Result<&Response, &Error>) -> Class`, or any other [`Classify`]. By
    /// default [`ErrorIsFailure`].
    ///
    /// The latency of a success is measured. A failure of any kind and an unsent request count as failures, and a pushback
    /// [`After`](tower_classify::Pushback::After) a time keeps all requests from the endpoint for that time. What is ignored
    /// counts as a request that was dropped.
    ///
    /// Only the result of the response future is classified. If the end of a body tells of a failure, as the trailers of gRPC
    /// do, let the completion keep the [`Handle`] in the body, and [set the class](Handle::set_class) there.
    ///
    /// An HTTP 429 with a `retry-after` keeps all requests from the endpoint. Where it is meant for one user of many, take a
    /// classification that ignores it.
    ///
    /// The classification is cloned for each request. Put a large one, such as an `HttpClassify`, into an [`Arc`].
    #[must_use]
    pub fn classify<K2>(self, classify: K2) -> PeakEwma<S, C, K2> {
        PeakEwma {
            service: self.service,
            estimate: self.estimate,
            completion: self.completion,
            classify,
        }
    }

    fn handle(&self) -> Handle {
        let now = clock::now();
        self.estimate.begin(now);
        Handle {
            sent_at: now,
            estimate: Arc::clone(&self.estimate),
            class: None,
        }
    }
}

impl Handle {
    /// Sets the class of the result, in place of what the classification said. For a [`TrackCompletion`] that puts the
    /// handle into a body, whose end tells more than its head.
    pub fn set_class(&mut self, class: Class) {
        self.class = Some(class);
    }
}

impl<S, C, K, Request> Service<Request> for PeakEwma<S, C, K>
where
    S: Service<Request>,
    C: TrackCompletion<Handle, S::Response>,
    K: Classify<Request, S::Response, S::Error> + Clone,
{
    type Response = C::Output;
    type Error = S::Error;
    type Future = TrackCompletionFuture<S::Future, C, Handle, NoteClass<K, K::Info, Request>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, req: Request) -> Self::Future {
        let note = NoteClass::new::<S::Response, S::Error>(self.classify.clone(), &req);
        TrackCompletionFuture::with_note(
            self.completion.clone(),
            self.handle(),
            self.service.call(req),
            note,
        )
    }
}

/// Nanoseconds.
impl From<Cost> for f64 {
    fn from(cost: Cost) -> Self {
        cost.0
    }
}

impl<S, C, K> Load for PeakEwma<S, C, K> {
    type Metric = Cost;

    fn load(&self) -> Cost {
        Cost(self.estimate.cost(clock::now_or_recent()))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.estimate.end(self.sent_at, self.class, clock::now());
    }
}

impl<S: fmt::Debug, C: fmt::Debug, K> fmt::Debug for PeakEwma<S, C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeakEwma")
            .field("service", &self.service)
            .field("estimate", &self.estimate)
            .field("completion", &self.completion)
            .finish_non_exhaustive()
    }
}

const NANOS_PER_SEC: f64 = 1e9;
