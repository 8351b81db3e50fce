//! The metrics of a route.

use std::sync::Arc;

use http::StatusCode;
use prometheus_client::metrics::counter::Counter;
use tokio::time::Instant;

use super::failures::Failures;
use super::labels::RouteLabels;
use super::latency::Latency;
use super::status::class_of;
use super::stripes::{Count, Level, Stripes};

/// The metrics of one route.
#[derive(Debug)]
pub struct RouteStats {
    /// The host and path prefix, as configured.
    pub route: String,
    /// The cluster of the route.
    pub cluster: String,
    pub(super) metrics: RequestMetrics,
    /// A copy for each stripe of threads, so that requests in flight do not contend for one reference count.
    pub(super) lent: Stripes<Arc<RequestMetrics>>,
    /// The number of attempts beyond the first.
    pub retries: Counter,
    /// The number of retries that the budget did not allow.
    pub retries_refused: Counter,
    /// The number of attempts sent because an earlier one was slow.
    pub hedges: Counter,
    /// The number of hedges whose response came first.
    pub hedges_won: Counter,
}

/// The metrics that every request updates. The alignment keeps the reference count on cache lines of its own.
#[derive(Debug, Clone)]
#[repr(align(128))]
pub(super) struct RequestMetrics {
    pub(super) route: Arc<str>,
    pub(super) by_class: [Count; 5],
    /// Seconds from a request's arrival until its response has ended.
    pub(super) latency: Latency,
    /// The number of requests whose response has not ended.
    pub(super) in_flight: Level,
    pub(super) failures: Arc<Failures>,
}

impl RequestMetrics {
    fn answered(&self, status: StatusCode) {
        self.by_class[class_of(status)].inc();
    }

    fn failed(&self, reason: &'static str) {
        self.failures.count(reason);
    }
}

impl RouteStats {
    /// Creates metrics without retries and hedges.
    pub(super) fn new(labels: RouteLabels, metrics: RequestMetrics) -> Self {
        Self {
            lent: Stripes::new(|| Arc::new(metrics.clone())),
            metrics,
            retries: Counter::default(),
            retries_refused: Counter::default(),
            hedges: Counter::default(),
            hedges_won: Counter::default(),
            route: labels.route,
            cluster: labels.cluster,
        }
    }

    /// Counts a request that has arrived.
    pub fn begin(&self) -> InFlight {
        let metrics = Arc::clone(self.lent.own());
        metrics.in_flight.inc();
        InFlight {
            metrics,
            since: Instant::now(),
            is_answered: false,
        }
    }

    /// Counts a response with this status.
    pub fn answered(&self, status: StatusCode) {
        self.metrics.answered(status);
    }

    /// Counts a failed request. `reason` must be one of a small set.
    pub fn failed(&self, reason: &'static str) {
        self.metrics.failed(reason);
    }

    /// Returns the number of responses sent, by class of their status: 1xx first.
    pub fn responses(&self) -> [u64; 5] {
        std::array::from_fn(|class| self.metrics.by_class[class].get())
    }

    /// Returns the number of requests whose response has not ended.
    pub fn in_flight(&self) -> i64 {
        self.metrics.in_flight.get()
    }

    /// Returns the number of failed requests by reason, without reasons that did not occur.
    pub fn failures(&self) -> Vec<(&'static str, u64)> {
        self.metrics.failures.all()
    }
}

/// A request in flight. It is dropped when its response has ended or the client has disconnected.
#[derive(Debug)]
pub struct InFlight {
    metrics: Arc<RequestMetrics>,
    since: Instant,
    is_answered: bool,
}

impl InFlight {
    /// Returns the label of its route.
    pub fn route(&self) -> &str {
        &self.metrics.route
    }

    /// Counts the head of the response.
    pub fn answered(&mut self, status: StatusCode) {
        self.is_answered = true;
        self.metrics.answered(status);
    }

    /// Counts that the response ended before it was complete.
    pub fn failed(&self, reason: &'static str) {
        self.metrics.failed(reason);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if !self.is_answered {
            self.metrics.failed(CLIENT_GONE);
        }
        self.metrics.in_flight.dec();
        let elapsed = self.since.elapsed();
        self.metrics.latency.observe(elapsed);
    }
}

/// The client disconnected before its response began, or before it was complete.
pub const CLIENT_GONE: &str = "client_gone";
