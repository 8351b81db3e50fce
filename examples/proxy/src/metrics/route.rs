//! The metrics of a route.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tokio::time::{Duration, Instant};

use super::buckets::Buckets;
use super::latency::Latency;
use super::status::{CLASSES, class_of};
use super::stripes::{Count, Level, Stripes};

/// The metrics of one route.
#[derive(Debug)]
pub struct RouteStats {
    /// The host and path prefix, as configured.
    pub route: String,
    /// The cluster of the route.
    pub cluster: String,
    metrics: RequestMetrics,
    /// A copy for each stripe of threads, so that requests in flight do not contend for one reference count.
    lent: Stripes<Arc<RequestMetrics>>,
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
struct RequestMetrics {
    route: Arc<str>,
    by_class: [Count; 5],
    /// Seconds from a request's arrival until its response has ended.
    latency: Latency,
    /// The number of requests whose response has not ended.
    in_flight: Level,
    failures: Arc<Failures>,
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

/// Counters by reason. Known reasons are shown from the start with 0, others once they occur.
#[derive(Debug)]
struct Failures {
    family: Family<FailureLabels, Counter>,
    labels: RouteLabels,
    /// The known reasons, which need no lock.
    known: Vec<(&'static str, Counter)>,
    counters: Mutex<BTreeMap<&'static str, Counter>>,
}

impl Failures {
    fn count(&self, reason: &'static str) {
        if let Some((_, counter)) = self.known.iter().find(|(known, _)| *known == reason) {
            counter.inc();
            return;
        }
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let counter = counters.entry(reason).or_insert_with(|| {
            self.family.get_or_create_owned(&FailureLabels {
                route: self.labels.route.clone(),
                cluster: self.labels.cluster.clone(),
                reason,
            })
        });
        counter.inc();
    }

    fn all(&self) -> Vec<(&'static str, u64)> {
        let counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.known.iter().map(|(reason, count)| (reason, count));
        let all = known.chain(&*counters);
        let all = all.map(|(reason, count)| (*reason, count.get()));
        let mut all: Vec<_> = all.filter(|(_, count)| *count > 0).collect();
        all.sort_unstable();
        all
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
    cluster: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResponseLabels {
    route: String,
    cluster: String,
    class: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    route: String,
    cluster: String,
    reason: &'static str,
}

/// The metric families of routes.
#[derive(Debug)]
pub(super) struct RouteFamilies {
    responses: Family<ResponseLabels, Count>,
    failures: Family<FailureLabels, Counter>,
    retries: Family<RouteLabels, Counter>,
    retries_refused: Family<RouteLabels, Counter>,
    hedges: Family<RouteLabels, Counter>,
    hedges_won: Family<RouteLabels, Counter>,
    in_flight: Family<RouteLabels, Level>,
    latency: Family<RouteLabels, Latency, Buckets>,
}

impl RouteFamilies {
    /// Registers the families; `longest` is the longest timeout of all routes.
    pub(super) fn register(registry: &mut Registry, longest: Duration) -> Self {
        let families = Self {
            responses: Family::default(),
            failures: Family::default(),
            retries: Family::default(),
            retries_refused: Family::default(),
            hedges: Family::default(),
            hedges_won: Family::default(),
            in_flight: Family::default(),
            latency: Family::new_with_constructor(Buckets::past(longest)),
        };
        registry.register(
            "requests",
            "Responses sent, by class of their status; the route \"none\" counts the requests that matched no route",
            families.responses.clone(),
        );
        registry.register(
            "failures",
            "Requests that were rejected, that failed, or whose response ended before it was complete, by reason",
            families.failures.clone(),
        );
        registry.register(
            "retries",
            "Retries: attempts beyond a request's first",
            families.retries.clone(),
        );
        registry.register(
            "retries_refused",
            "Retries that the retry budget did not allow",
            families.retries_refused.clone(),
        );
        registry.register(
            "hedges",
            "Hedges: attempts sent because an earlier one of the request was slow",
            families.hedges.clone(),
        );
        registry.register(
            "hedges_won",
            "Hedges whose response came before that of the earlier attempt",
            families.hedges_won.clone(),
        );
        registry.register(
            "requests_in_flight",
            "Requests in flight, until their response has ended",
            families.in_flight.clone(),
        );
        registry.register(
            "request_duration_seconds",
            "Time from a request's arrival until its response has ended",
            families.latency.clone(),
        );
        families
    }

    /// Returns the metrics of the route of this name and cluster; `reasons` are shown from the start.
    pub(super) fn of(
        &self,
        route: String,
        cluster: String,
        reasons: &[&'static str],
    ) -> Arc<RouteStats> {
        let labels = RouteLabels { route, cluster };
        let metrics = RequestMetrics {
            by_class: std::array::from_fn(|class| self.answers(&labels, class)),
            latency: self.latency.get_or_create_owned(&labels),
            in_flight: self.in_flight.get_or_create_owned(&labels),
            ..self.failures_of(&labels, reasons)
        };
        Arc::new(RouteStats {
            retries: self.retries.get_or_create_owned(&labels),
            retries_refused: self.retries_refused.get_or_create_owned(&labels),
            hedges: self.hedges.get_or_create_owned(&labels),
            hedges_won: self.hedges_won.get_or_create_owned(&labels),
            ..RouteStats::new(labels, metrics)
        })
    }

    /// Returns the metrics of requests that match no route: the reasons, and the responses, which are of the classes
    /// 4xx and 5xx.
    pub(super) fn of_unrouted(&self, name: &str, reasons: &[&'static str]) -> Arc<RouteStats> {
        let labels = RouteLabels {
            route: name.to_owned(),
            cluster: name.to_owned(),
        };
        let (refused, failed) = (self.answers(&labels, 3), self.answers(&labels, 4));
        let mut metrics = self.failures_of(&labels, reasons);
        metrics.by_class[3] = refused;
        metrics.by_class[4] = failed;
        Arc::new(RouteStats::new(labels, metrics))
    }

    fn answers(&self, labels: &RouteLabels, class: usize) -> Count {
        self.responses.get_or_create_owned(&ResponseLabels {
            route: labels.route.clone(),
            cluster: labels.cluster.clone(),
            class: CLASSES[class],
        })
    }

    /// Creates metrics of which only the failures are registered.
    fn failures_of(&self, labels: &RouteLabels, reasons: &[&'static str]) -> RequestMetrics {
        let counters = reasons.iter().map(|reason| {
            let labels = FailureLabels {
                route: labels.route.clone(),
                cluster: labels.cluster.clone(),
                reason,
            };
            (*reason, self.failures.get_or_create_owned(&labels))
        });
        RequestMetrics {
            route: labels.route.as_str().into(),
            by_class: Default::default(),
            latency: Latency::new(Arc::new([])),
            in_flight: Level::default(),
            failures: Arc::new(Failures {
                family: self.failures.clone(),
                known: counters.collect(),
                counters: Mutex::default(),
                labels: labels.clone(),
            }),
        }
    }
}

impl RouteStats {
    /// Creates metrics without retries and hedges.
    fn new(labels: RouteLabels, metrics: RequestMetrics) -> Self {
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
}

/// The client disconnected before its response began, or before it was complete.
pub const CLIENT_GONE: &str = "client_gone";
