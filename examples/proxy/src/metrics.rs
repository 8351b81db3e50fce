//! What the proxy counts, and how it is told: as Prometheus text and as the state that the admin page shows.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::StatusCode;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tokio::time::Instant;

/// All metrics of one proxy.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// By route, in the order of the configuration.
    pub routes: Vec<Arc<RouteStats>>,
    /// By cluster, in order of name.
    pub clusters: Vec<ClusterStats>,
}

/// What is counted of one route.
#[derive(Debug)]
pub struct RouteStats {
    /// Host and path prefix, as configured.
    pub route: String,
    /// The cluster behind it.
    pub cluster: String,
    by_class: [Counter; 5],
    /// Seconds from a request's arrival until its response has ended.
    latency: Histogram,
    /// Requests whose response has not ended.
    pub in_flight: Gauge,
    /// Attempts beyond the first.
    pub retries: Counter,
    /// Attempts beyond the first that the budget did not allow.
    pub retries_refused: Counter,
    /// Attempts that were sent because an earlier one was slow.
    pub hedges: Counter,
    /// Those whose answer came first.
    pub hedges_won: Counter,
}

/// The endpoints of one cluster.
#[derive(Debug)]
pub struct ClusterStats {
    /// Its name.
    pub name: String,
    /// In the order of the configuration.
    pub endpoints: Vec<Arc<EndpointStats>>,
}

/// What is known of one endpoint.
#[derive(Debug)]
pub struct EndpointStats {
    /// Its address.
    pub endpoint: String,
    ready: AtomicBool,
    gauge: Gauge,
    ejected: Gauge,
    /// Attempts sent to it.
    pub requests: Counter,
    /// Attempts that it failed to answer.
    pub failures: Counter,
}

impl EndpointStats {
    /// Whether it takes requests.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// Whether it is left out because it fails.
    pub fn is_ejected(&self) -> bool {
        self.ejected.get() > 0
    }

    /// Notes whether it is left out because it fails.
    pub fn set_ejected(&self, ejected: bool) {
        self.ejected.set(i64::from(ejected));
    }

    /// Notes whether it takes requests.
    pub fn set_ready(&self, ready: bool) {
        if self.ready.swap(ready, Ordering::Relaxed) != ready {
            self.gauge.set(i64::from(ready));
            tracing::info!(endpoint = %self.endpoint, ready, "endpoint changed");
        }
    }
}

impl ClusterStats {
    /// Whether any endpoint takes requests.
    pub fn is_ready(&self) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.is_ready())
    }
}

impl RouteStats {
    /// Counts a request that has arrived.
    pub fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.inc();
        InFlight {
            stats: Arc::clone(self),
            since: Instant::now(),
        }
    }

    /// Responses sent, by the first digit of their status less one.
    pub fn responses(&self) -> [u64; 5] {
        std::array::from_fn(|class| self.by_class[class].get())
    }
}

/// A request under way. Dropped when its response has ended, or the client has gone.
#[derive(Debug)]
pub struct InFlight {
    stats: Arc<RouteStats>,
    since: Instant,
}

impl InFlight {
    /// Counts the head of the response.
    pub fn answered(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        self.stats.by_class[class].inc();
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.stats.in_flight.dec();
        self.stats
            .latency
            .observe(self.since.elapsed().as_secs_f64());
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
struct EndpointLabels {
    cluster: String,
    endpoint: String,
}

impl Metrics {
    /// Registers the metrics of these routes (label and cluster) and clusters (name and endpoints).
    pub fn new(routes: Vec<(String, String)>, clusters: Vec<(String, Vec<String>)>) -> Self {
        let mut registry = Registry::with_prefix("tower_proxy");
        let responses = Family::<ResponseLabels, Counter>::default();
        let retries = Family::<RouteLabels, Counter>::default();
        let retries_refused = Family::<RouteLabels, Counter>::default();
        let hedges = Family::<RouteLabels, Counter>::default();
        let hedges_won = Family::<RouteLabels, Counter>::default();
        let in_flight = Family::<RouteLabels, Gauge>::default();
        let latency = Family::<RouteLabels, Histogram>::new_with_constructor(|| {
            Histogram::new(LATENCY_BUCKETS)
        });
        let ready = Family::<EndpointLabels, Gauge>::default();
        let ejected = Family::<EndpointLabels, Gauge>::default();
        let attempts = Family::<EndpointLabels, Counter>::default();
        let failures = Family::<EndpointLabels, Counter>::default();
        registry.register(
            "requests",
            "Requests answered, by class of the response's status",
            responses.clone(),
        );
        registry.register(
            "retries",
            "Attempts beyond a request's first",
            retries.clone(),
        );
        registry.register(
            "retries_refused",
            "Attempts beyond a request's first that the budget did not allow",
            retries_refused.clone(),
        );
        registry.register(
            "hedges",
            "Attempts sent because an earlier one of the request was slow",
            hedges.clone(),
        );
        registry.register(
            "hedges_won",
            "Attempts sent because an earlier one was slow, and answered before it",
            hedges_won.clone(),
        );
        registry.register(
            "requests_in_flight",
            "Requests whose response has not ended",
            in_flight.clone(),
        );
        registry.register(
            "request_duration_seconds",
            "Time from a request's arrival until its response has ended",
            latency.clone(),
        );
        registry.register(
            "endpoint_ready",
            "1 if the endpoint takes requests, else 0",
            ready.clone(),
        );
        registry.register(
            "endpoint_ejected",
            "1 if the endpoint is left out because it fails, else 0",
            ejected.clone(),
        );
        registry.register(
            "endpoint_requests",
            "Attempts sent to the endpoint",
            attempts.clone(),
        );
        registry.register(
            "endpoint_failures",
            "Attempts that the endpoint failed to answer",
            failures.clone(),
        );

        let routes = routes.into_iter().map(|(route, cluster)| {
            let labels = RouteLabels {
                route: route.clone(),
                cluster: cluster.clone(),
            };
            let by_class = CLASSES.map(|class| {
                let labels = ResponseLabels {
                    route: route.clone(),
                    cluster: cluster.clone(),
                    class,
                };
                responses.get_or_create_owned(&labels)
            });
            Arc::new(RouteStats {
                by_class,
                latency: latency.get_or_create_owned(&labels),
                in_flight: in_flight.get_or_create_owned(&labels),
                retries: retries.get_or_create_owned(&labels),
                retries_refused: retries_refused.get_or_create_owned(&labels),
                hedges: hedges.get_or_create_owned(&labels),
                hedges_won: hedges_won.get_or_create_owned(&labels),
                route,
                cluster,
            })
        });
        let clusters = clusters.into_iter().map(|(name, endpoints)| {
            let endpoints = endpoints.into_iter().map(|endpoint| {
                let labels = EndpointLabels {
                    cluster: name.clone(),
                    endpoint: endpoint.clone(),
                };
                Arc::new(EndpointStats {
                    endpoint,
                    ready: AtomicBool::new(false),
                    gauge: ready.get_or_create_owned(&labels),
                    ejected: ejected.get_or_create_owned(&labels),
                    requests: attempts.get_or_create_owned(&labels),
                    failures: failures.get_or_create_owned(&labels),
                })
            });
            ClusterStats {
                endpoints: endpoints.collect(),
                name: name.clone(),
            }
        });
        Self {
            routes: routes.collect(),
            clusters: clusters.collect(),
            registry,
        }
    }

    /// The metrics in Prometheus' text format.
    pub fn prometheus(&self) -> String {
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }

    /// Whether every cluster has an endpoint that takes requests.
    pub fn is_ready(&self) -> bool {
        self.clusters.iter().all(ClusterStats::is_ready)
    }

    /// The live state as JSON, for the admin page.
    pub fn json(&self) -> String {
        let routes = self.routes.iter().map(|stats| {
            format!(
                r#"{{"route":{},"cluster":{},"responses":{:?},"retries":{},"in_flight":{}}}"#,
                json_string(&stats.route),
                json_string(&stats.cluster),
                stats.responses(),
                stats.retries.get(),
                stats.in_flight.get(),
            )
        });
        let clusters = self.clusters.iter().map(|cluster| {
            let endpoints = cluster.endpoints.iter().map(|stats| {
                format!(
                    r#"{{"endpoint":{},"ready":{},"ejected":{},"requests":{},"failures":{}}}"#,
                    json_string(&stats.endpoint),
                    stats.is_ready(),
                    stats.is_ejected(),
                    stats.requests.get(),
                    stats.failures.get(),
                )
            });
            format!(
                r#"{{"name":{},"endpoints":[{}]}}"#,
                json_string(&cluster.name),
                join(endpoints)
            )
        });
        format!(
            r#"{{"routes":[{}],"clusters":[{}]}}"#,
            join(routes),
            join(clusters)
        )
    }
}

fn join(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(",")
}

fn json_string(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

const LATENCY_BUCKETS: [f64; 13] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];
