//! The state shown by the admin page, as JSON.

use std::collections::BTreeMap;

use serde::Serialize;

use super::endpoint::{ClusterStats, EndpointStats};
use super::registry::Metrics;
use super::route::RouteStats;

/// The values of the metrics at one moment.
#[derive(Debug, Serialize)]
pub struct Snapshot<'a> {
    /// The routes in the order of the configuration, then `none` with the requests that matched no route.
    routes: Vec<Route<'a>>,
    clusters: Vec<Cluster<'a>>,
}

#[derive(Debug, Serialize)]
struct Route<'a> {
    route: &'a str,
    cluster: &'a str,
    /// By class of the status, 1xx first.
    responses: [u64; 5],
    retries: u64,
    in_flight: i64,
    failures: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Serialize)]
struct Cluster<'a> {
    name: &'a str,
    endpoints: Vec<Endpoint<'a>>,
}

#[derive(Debug, Serialize)]
struct Endpoint<'a> {
    endpoint: &'a str,
    ready: bool,
    ejected: bool,
    requests: u64,
    failures: u64,
    responses: [u64; 5],
    failed_responses: u64,
    /// Why the last attempt to connect failed.
    error: Option<String>,
}

impl Metrics {
    /// Returns what the admin page shows.
    pub fn snapshot(&self) -> Snapshot<'_> {
        let routes = self.routes.iter().map(|stats| Route::of(stats));
        let unrouted = std::iter::once(Route::of(&self.unrouted));
        Snapshot {
            routes: routes.chain(unrouted).collect(),
            clusters: self.clusters.iter().map(Cluster::of).collect(),
        }
    }
}

impl<'a> Route<'a> {
    fn of(stats: &'a RouteStats) -> Self {
        Self {
            route: &stats.route,
            cluster: &stats.cluster,
            responses: stats.responses(),
            retries: stats.retries.get(),
            in_flight: stats.in_flight(),
            failures: stats.failures().into_iter().collect(),
        }
    }
}

impl<'a> Cluster<'a> {
    fn of(stats: &'a ClusterStats) -> Self {
        let endpoints = stats.endpoints.iter().map(|stats| Endpoint::of(stats));
        Self {
            name: &stats.name,
            endpoints: endpoints.collect(),
        }
    }
}

impl<'a> Endpoint<'a> {
    fn of(stats: &'a EndpointStats) -> Self {
        Self {
            endpoint: &stats.endpoint,
            ready: stats.is_ready(),
            ejected: stats.is_ejected(),
            requests: stats.requests.get(),
            failures: stats.failures.get(),
            responses: stats.responses(),
            failed_responses: stats.failed_responses(),
            error: stats.last_error(),
        }
    }
}
