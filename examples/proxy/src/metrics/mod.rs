//! The metrics of the proxy, as Prometheus text and as the state shown by the admin page.

mod buckets;
mod endpoint;
mod failures;
mod json;
mod labels;
mod latency;
mod registry;
mod route;
mod route_families;
mod status;
mod stripes;

pub use self::endpoint::{ClusterStats, EndpointStats, ResponseFailure};
pub use self::json::Snapshot;
pub use self::registry::Metrics;
pub use self::route::{CLIENT_GONE, InFlight, RouteStats};
