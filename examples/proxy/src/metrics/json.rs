//! The state that the admin page shows, as JSON.

use std::fmt::Write as _;

use super::{ClusterStats, EndpointStats, Metrics, RouteStats};

impl Metrics {
    /// The live state as JSON, for the admin page.
    pub fn json(&self) -> String {
        let unrouted = std::iter::once(&self.unrouted);
        let routes = self.routes.iter().chain(unrouted);
        format!(
            r#"{{"routes":[{}],"clusters":[{}]}}"#,
            join(routes.map(|stats| route(stats))),
            join(self.clusters.iter().map(cluster))
        )
    }
}

fn route(stats: &RouteStats) -> String {
    let failures = stats.failures().into_iter();
    let failures = failures.map(|(reason, count)| format!("{}:{count}", string(reason)));
    format!(
        r#"{{"route":{},"cluster":{},"responses":{:?},"retries":{},"in_flight":{},"failures":{{{}}}}}"#,
        string(&stats.route),
        string(&stats.cluster),
        stats.responses(),
        stats.retries.get(),
        stats.in_flight.get(),
        join(failures),
    )
}

fn cluster(stats: &ClusterStats) -> String {
    format!(
        r#"{{"name":{},"endpoints":[{}]}}"#,
        string(&stats.name),
        join(stats.endpoints.iter().map(|stats| endpoint(stats)))
    )
}

fn endpoint(stats: &EndpointStats) -> String {
    let error = stats.last_error();
    format!(
        r#"{{"endpoint":{},"ready":{},"ejected":{},"requests":{},"failures":{},"responses":{:?},"error":{}}}"#,
        string(&stats.endpoint),
        stats.is_ready(),
        stats.is_ejected(),
        stats.requests.get(),
        stats.failures.get(),
        stats.responses(),
        error.map_or_else(|| "null".to_owned(), |error| string(&error)),
    )
}

fn join(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(",")
}

/// A string of JSON.
pub(crate) fn string(text: &str) -> String {
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
