//! Load measured as a peak-sensitive average of the latency, times the number of requests in flight.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tower_classify::{Classify, ErrorIsFailure};
use tower_service::Service;

#[cfg(feature = "discover")]
mod discover;

#[cfg(feature = "discover")]
pub use self::discover::PeakEwmaDiscover;
use crate::clock;
use crate::completion::{CompleteOnResponse, TrackCompletion, TrackCompletionFuture};
use crate::estimate::Estimate;
pub use crate::handle::Handle;
use crate::metric::Load;
use crate::record::RecordClass;

/// Measures the load of a service as an estimate of its latency, times its number of requests in flight plus one.
///
/// The estimate is an [`Ewma`](crate::Ewma): it rises to a higher latency immediately, and decays over the decay time.
/// So a service that becomes slow receives fewer requests from the first slow response on, and more again as the
/// estimate decays.
///
/// # What a failing endpoint receives
///
/// A service that fails immediately is never busy and appears fast, so by its latency alone it would receive most of
/// the requests. Therefore consecutive failures add a growing penalty:
///
/// - A request that **fails** does not change the latency estimate. Instead, the first failure doubles the load, and
///   each further one multiplies it by eight, whatever the latencies are, from milliseconds to minutes. Requests that
///   were in flight together and fail together count as one failure. Each success takes the square root of the penalty
///   factor, so a single failure among many successes has little effect.
/// - A service that **fails every request**, beside ten working ones, receives well under 0.5 % of the requests: a few
///   at first, and then one at a time, as a probe, about every 20 s, or less often if the others are slow (at least
///   every ten minutes). After a few successes it receives its full share again.
/// - A request that is **cancelled** gives a lower bound of the latency: it can raise the estimate, not lower it.
/// - While requests are in flight, the estimate is at least the **time since the last response**, so the load of a
///   service that does not respond keeps rising.
/// - A server that **pushes back**, for example with `retry-after`, receives no requests for that time, at most 300 s,
///   unless all other endpoints have pushed back too.
///
/// By default a request fails if the service's future returns an error. An HTTP 503 is a response, so a server that
/// returns it immediately receives twice its share. Set a [classification](PeakEwma::classify) to count such responses
/// as failures; for HTTP requests and gRPC calls, use `tower_classify::http::HttpClassify`.
///
/// # Example
///
/// A server that rejects requests immediately would have the lowest load, if its rejections did not count as failures:
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
/// let mut rejects = measured(Server(503, ms(1)));
///
/// works.call(()).await.unwrap();
/// rejects.call(()).await.unwrap();
/// assert!(works.load() < rejects.load());
/// # }
/// ```
///
/// # Cost
///
/// Each request reads the clock twice and computes an `exp`. Each call of `load` reads the clock once and computes an
/// `exp`; within [`at_recent_time`](crate::at_recent_time) it does not read the clock. There are no locks and no
/// allocations. A service with a penalty costs more.
///
/// All requests of a service write the same atomic words: two additions to the number of requests in flight, two to a
/// reference count, the time of the response, and the estimate if it changes. Threads contend for two cache lines if
/// they start or end requests to the same service at the same time, and for none if the services are different.
///
/// # Differences from tower 0.5
///
/// In tower 0.5, a failed or dropped request is a sample like any other, so a service that fails immediately receives
/// twice its share. And the estimate of a service that never responds decays to zero, until the service receives all
/// requests.
pub struct PeakEwma<S, C = CompleteOnResponse, K = ErrorIsFailure> {
    service: S,
    estimate: Arc<Estimate>,
    completion: C,
    classify: K,
}

/// The latency in nanoseconds, times the number of requests in flight plus one.
#[derive(Copy, Clone, Debug, PartialEq, PartialOrd)]
pub struct Cost(f64);

impl<S, C> PeakEwma<S, C> {
    /// Measures `service`; `completion` decides when a request is complete.
    ///
    /// `default_rtt` is the estimate until there is a measurement. It should be several times the usual latency; with a
    /// lower value, a new server receives many requests before its latency is known. `decay_ns` is the time in which an
    /// estimate decays to 1/e, in nanoseconds, typically 10 s (`1e10`). A decay that is NaN, or less than 1 ms, counts
    /// as 1 ms.
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
    /// Sets how results are classified: a closure `Fn(Result<&Response, &Error>) -> Class`, or any other [`Classify`].
    /// By default [`ErrorIsFailure`].
    ///
    /// The latency of a success is measured. A failure of any kind and an unsent request count as failures, and after a
    /// pushback [`After`](tower_classify::Pushback::After) a time, the endpoint receives no requests for that time. An
    /// ignored result counts as a cancelled request.
    ///
    /// Only the result of the response future is classified. If a failure is known only at the end of the body, as with
    /// the trailers of a gRPC call, have the completion keep the [`Handle`] in the body, and [set the
    /// class](Handle::set_class) there.
    ///
    /// After an HTTP 429 with `retry-after`, no requests at all are sent to the endpoint. If the 429 limits only one of
    /// several users, use a classification that ignores such responses.
    ///
    /// The classification is cloned for each request. Wrap a large one, such as an `HttpClassify`, in an [`Arc`].
    #[must_use]
    pub fn classify<K2>(self, classify: K2) -> PeakEwma<S, C, K2> {
        PeakEwma {
            service: self.service,
            estimate: self.estimate,
            completion: self.completion,
            classify,
        }
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
    type Future = TrackCompletionFuture<S::Future, C, Handle, RecordClass<K, K::Info, Request>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, req: Request) -> Self::Future {
        let record = RecordClass::new::<S::Response, S::Error>(self.classify.clone(), &req);
        TrackCompletionFuture::with_record(
            self.completion.clone(),
            Handle::begin(&self.estimate),
            self.service.call(req),
            record,
        )
    }
}

/// Returns the cost as a number of nanoseconds.
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
