//! All metrics of a proxy, in one registry.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

use super::endpoint::{ClusterStats, EndpointFamilies};
use super::route::{CLIENT_GONE, RouteStats};
use super::route_families::RouteFamilies;

/// All metrics of one proxy.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// The metrics of routes, in the order of the configuration.
    pub routes: Vec<Arc<RouteStats>>,
    /// The metrics of requests that matched no route, including malformed ones: the route `none`.
    pub unrouted: Arc<RouteStats>,
    /// The metrics of clusters, in order of name.
    pub clusters: Vec<ClusterStats>,
}

impl Metrics {
    /// Registers the metrics of these routes (label and cluster) and clusters (name and endpoints).
    ///
    /// `longest` is the longest timeout of all routes.
    pub fn new(
        routes: Vec<(String, String)>,
        clusters: Vec<(String, Vec<String>)>,
        longest: Duration,
    ) -> Self {
        let mut registry = Registry::with_prefix("tower_proxy");
        let of_routes = RouteFamilies::register(&mut registry, longest);
        let of_endpoints = EndpointFamilies::register(&mut registry);
        let routes = routes
            .into_iter()
            .map(|(route, cluster)| of_routes.of(route, cluster, REASONS));
        let clusters = clusters.into_iter().map(|(name, endpoints)| {
            let endpoints = endpoints.into_iter();
            ClusterStats {
                endpoints: endpoints
                    .map(|endpoint| of_endpoints.of(&name, endpoint))
                    .collect(),
                name,
            }
        });
        Self {
            routes: routes.collect(),
            // A route's label contains a path, which begins with a slash, so no route is called `none`.
            unrouted: of_routes.of_unrouted(UNROUTED, UNROUTED_REASONS),
            clusters: clusters.collect(),
            registry,
        }
    }

    /// Returns the metrics in Prometheus' text format.
    pub fn prometheus(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}

const UNROUTED: &str = "none";

/// The reasons for which a request fails after it matched a route. They are shown from the start; others appear when
/// they occur.
const REASONS: &[&str] = &[
    "overloaded",
    "rate_limited",
    "unavailable",
    "upstream_broke",
    "bad_answer",
    "timeout",
    "request_timeout",
    "invalid_timeout",
    "response_timeout",
    "response_broke",
    CLIENT_GONE,
];

/// The reasons for which a request matches no route.
const UNROUTED_REASONS: &[&str] = &[
    "no_route",
    "unsupported",
    "bad_target",
    "bad_path",
    "bad_framing",
    "malformed",
    "head_too_large",
    "head_timeout",
];
