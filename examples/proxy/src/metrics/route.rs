//! What is counted of one route.

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
use super::stripes::{Count, Level, Stripes};

/// What is counted of one route.
#[derive(Debug)]
pub struct RouteStats {
    /// Host and path prefix, as configured.
    pub route: String,
    /// The cluster behind it.
    pub cluster: String,
    each: Each,
    /// The same, for each thread to refer to: a request counts a reference to it.
    lent: Stripes<Arc<Each>>,
    /// Attempts beyond the first.
    pub retries: Counter,
    /// Attempts beyond the first that the budget did not allow.
    pub retries_refused: Counter,
    /// Attempts that were sent because an earlier one was slow.
    pub hedges: Counter,
    /// Those whose answer came first.
    pub hedges_won: Counter,
}

/// What each request counts. Its reference count is alone in its cache lines.
#[derive(Debug, Clone)]
#[repr(align(128))]
struct Each {
    route: Arc<str>,
    by_class: [Count; 5],
    /// Seconds from a request's arrival until its response has ended.
    latency: Latency,
    /// Requests whose response has not ended.
    in_flight: Level,
    failures: Arc<Failures>,
}

impl Each {
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
        let each = Arc::clone(self.lent.own());
        each.in_flight.inc();
        InFlight {
            each,
            since: Instant::now(),
            is_answered: false,
        }
    }

    /// Counts a response of this status.
    pub fn answered(&self, status: StatusCode) {
        self.each.answered(status);
    }

    /// Counts a request that failed, for a reason out of few.
    pub fn failed(&self, reason: &'static str) {
        self.each.failed(reason);
    }

    /// Responses sent, by the first digit of their status less one.
    pub fn responses(&self) -> [u64; 5] {
        std::array::from_fn(|class| self.each.by_class[class].get())
    }

    /// Requests whose response has not ended.
    pub fn in_flight(&self) -> i64 {
        self.each.in_flight.get()
    }

    /// Requests that failed, by reason, without those reasons that did not occur.
    pub fn failures(&self) -> Vec<(&'static str, u64)> {
        self.each.failures.all()
    }
}

/// A request under way. Dropped when its response has ended, or the client has gone.
#[derive(Debug)]
pub struct InFlight {
    each: Arc<Each>,
    since: Instant,
    is_answered: bool,
}

impl InFlight {
    /// The label of its route.
    pub fn route(&self) -> &str {
        &self.each.route
    }

    /// Counts the head of the response.
    pub fn answered(&mut self, status: StatusCode) {
        self.is_answered = true;
        self.each.answered(status);
    }

    /// Counts that the response ended before it was complete.
    pub fn failed(&self, reason: &'static str) {
        self.each.failed(reason);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if !self.is_answered {
            self.each.failed(CLIENT_GONE);
        }
        self.each.in_flight.dec();
        let elapsed = self.since.elapsed();
        self.each.latency.observe(elapsed);
    }
}

/// Counters by reason, which appear with 0 if it is known that they can occur, else when they do.
#[derive(Debug)]
struct Failures {
    family: Family<FailureLabels, Counter>,
    labels: RouteLabels,
    /// Those that it is known of, without the lock.
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

/// The metrics that each route has.
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
    /// Registers them; `longest` is the longest timeout of all routes.
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
            "Requests answered, by class of the response's status; the route \"none\" has those that no route took",
            families.responses.clone(),
        );
        registry.register(
            "failures",
            "Requests that were refused, that failed, or whose response ended before it was complete, by reason",
            families.failures.clone(),
        );
        registry.register(
            "retries",
            "Attempts beyond a request's first",
            families.retries.clone(),
        );
        registry.register(
            "retries_refused",
            "Attempts beyond a request's first that the budget did not allow",
            families.retries_refused.clone(),
        );
        registry.register(
            "hedges",
            "Attempts sent because an earlier one of the request was slow",
            families.hedges.clone(),
        );
        registry.register(
            "hedges_won",
            "Attempts sent because an earlier one was slow, and answered before it",
            families.hedges_won.clone(),
        );
        registry.register(
            "requests_in_flight",
            "Requests whose response has not ended",
            families.in_flight.clone(),
        );
        registry.register(
            "request_duration_seconds",
            "Time from a request's arrival until its response has ended",
            families.latency.clone(),
        );
        families
    }

    /// What is counted of the route of this name, which leads to this cluster; `reasons` are shown from the beginning.
    pub(super) fn of(
        &self,
        route: String,
        cluster: String,
        reasons: &[&'static str],
    ) -> Arc<RouteStats> {
        let labels = RouteLabels { route, cluster };
        let each = Each {
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
            ..RouteStats::new(labels, each)
        })
    }

    /// What is counted of requests that go nowhere: why, and their answers, which are of the classes 4xx and 5xx.
    pub(super) fn of_unrouted(&self, name: &str, reasons: &[&'static str]) -> Arc<RouteStats> {
        let labels = RouteLabels {
            route: name.to_owned(),
            cluster: name.to_owned(),
        };
        let (refused, failed) = (self.answers(&labels, 3), self.answers(&labels, 4));
        let mut each = self.failures_of(&labels, reasons);
        each.by_class[3] = refused;
        each.by_class[4] = failed;
        Arc::new(RouteStats::new(labels, each))
    }

    fn answers(&self, labels: &RouteLabels, class: usize) -> Count {
        self.responses.get_or_create_owned(&ResponseLabels {
            route: labels.route.clone(),
            cluster: labels.cluster.clone(),
            class: super::CLASSES[class],
        })
    }

    /// Failures are registered, and nothing else.
    fn failures_of(&self, labels: &RouteLabels, reasons: &[&'static str]) -> Each {
        let counters = reasons.iter().map(|reason| {
            let labels = FailureLabels {
                route: labels.route.clone(),
                cluster: labels.cluster.clone(),
                reason,
            };
            (*reason, self.failures.get_or_create_owned(&labels))
        });
        Each {
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
    /// Without retries and hedges.
    fn new(labels: RouteLabels, each: Each) -> Self {
        Self {
            lent: Stripes::new(|| Arc::new(each.clone())),
            each,
            retries: Counter::default(),
            retries_refused: Counter::default(),
            hedges: Counter::default(),
            hedges_won: Counter::default(),
            route: labels.route,
            cluster: labels.cluster,
        }
    }
}

pub(super) fn class_of(status: StatusCode) -> usize {
    usize::from(status.as_u16() / 100).clamp(1, 5) - 1
}

/// The client went away before its response began, or before it was complete.
pub const CLIENT_GONE: &str = "client_gone";
