//! Load by latency, which peaks at once and fades slowly, times the requests in flight.

#[cfg(feature = "discover")]
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

#[cfg(feature = "discover")]
use futures_core::Stream;
use tokio::time::Instant;
#[cfg(feature = "discover")]
use tower_discover::{Change, Discover};
use tower_service::Service;

use crate::completion::{CompleteOnResponse, TrackCompletion, TrackCompletionFuture};
use crate::ewma::Ewma;
use crate::metric::Load;

/// Measures a service by an estimate of its latency times its requests in flight and one.
///
/// The estimate is an [`Ewma`] that takes a higher latency at once, and forgets it over the decay time. So a service
/// that becomes slow is left alone from the first slow answer on, and is tried again by and by.
///
/// Only the time until the response counts, also of errors: a service that fails fast looks good. Do not use it alone
/// where endpoints fail.
///
/// # Cost
///
/// Per request two readings of the clock, a short lock and an `exp` at its end; per reading of the load one of each.
#[derive(Debug)]
pub struct PeakEwma<S, C = CompleteOnResponse> {
    service: S,
    shared: Arc<Shared>,
    completion: C,
}

#[derive(Debug)]
struct Shared {
    /// Nanoseconds.
    rtt: Mutex<Ewma>,
    pending: AtomicUsize,
}

/// Latency in nanoseconds times requests in flight and one.
#[derive(Copy, Clone, Debug, PartialEq, PartialOrd)]
pub struct Cost(f64);

/// One request in flight; when it is dropped the time since it was made is taken as its latency.
#[derive(Debug)]
pub struct Handle {
    sent_at: Instant,
    shared: Arc<Shared>,
}

impl<S, C> PeakEwma<S, C> {
    /// Measures `service`.
    ///
    /// `default_rtt` is the estimate until there is a measurement. `decay_ns` is the time in which an estimate fades to
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
        let rtt = Ewma::new(Instant::now(), decay, nanos(default_rtt));
        let shared = Arc::new(Shared {
            rtt: Mutex::new(rtt),
            pending: AtomicUsize::new(0),
        });
        Self {
            service,
            shared,
            completion,
        }
    }

    fn handle(&self) -> Handle {
        self.shared.pending.fetch_add(1, Ordering::Relaxed);
        Handle {
            sent_at: Instant::now(),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl Shared {
    fn rtt(&self) -> MutexGuard<'_, Ewma> {
        // Nothing panics under the lock, and an estimate is whole at any time.
        self.rtt.lock().unwrap_or_else(PoisonError::into_inner)
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
    }
}

impl<S, C> Load for PeakEwma<S, C> {
    type Metric = Cost;

    fn load(&self) -> Cost {
        let pending = self.shared.pending.load(Ordering::Relaxed) as f64;
        Cost(self.shared.rtt().get_at(Instant::now()) * (pending + 1.0))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let now = Instant::now();
        self.shared
            .rtt()
            .add_peak(now, nanos(now.saturating_duration_since(self.sent_at)));
        self.shared.pending.fetch_sub(1, Ordering::Relaxed);
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

fn nanos(duration: Duration) -> f64 {
    duration.as_secs_f64() * NANOS_PER_SEC
}

const NANOS_PER_SEC: f64 = 1e9;
