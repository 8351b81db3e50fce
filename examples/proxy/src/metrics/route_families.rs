//! The metric families of routes.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tokio::time::Duration;

use super::buckets::Buckets;
use super::failures::Failures;
use super::labels::{FailureLabels, ResponseLabels, RouteLabels};
use super::latency::Latency;
use super::route::{RequestMetrics, RouteStats};
use super::status::CLASSES;
use super::stripes::{Count, Level};

/// Creates the metrics of each route in these families.
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
        RequestMetrics {
            route: labels.route.as_str().into(),
            by_class: Default::default(),
            latency: Latency::new(Arc::new([])),
            in_flight: Level::default(),
            failures: Arc::new(Failures::new(&self.failures, labels, reasons)),
        }
    }
}
