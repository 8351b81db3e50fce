//! Ejects failing endpoints.

use tower::health::policy::outlier::OutlierConfig;
use tower::health::{Health, Standing, Uneject};

use super::recovery::RecoveryProbes;
use crate::config::{Cluster, Protocol};
use crate::metrics::ClusterStats;

/// Returns the outlier detector's configuration for a cluster.
pub fn detector(cluster: &Cluster) -> OutlierConfig {
    let config = &cluster.outlier_detection;
    let detector = OutlierConfig::default().success_rate(None);
    if !config.enabled {
        return detector.consecutive(None).cancelled_after(None);
    }
    detector
        .consecutive(u32::try_from(config.consecutive_failures).ok())
        // An HTTP/2 endpoint that hangs does not acknowledge pings either, and so loses its connection. A call without
        // a response may be a gRPC call that waits for its first message.
        .count_silence(cluster.protocol == Protocol::Http1)
        .cancelled_after(Some(config.cancelled_after))
        .base_ejection_time(config.base_ejection_time)
        .max_ejection_time(config.max_ejection_time)
        .max_ejection_percent(config.max_ejection_percent)
        .interval(config.interval)
}

/// Reports ejections to the metrics of a cluster, and probes ejected endpoints.
///
/// Must be called inside a tokio runtime.
pub fn watch(
    health: &Health<String>,
    cluster: &Cluster,
    stats: &ClusterStats,
    uneject: Uneject<String>,
) {
    let probes = RecoveryProbes::new(cluster, uneject);
    let endpoints = stats.endpoints.clone();
    health.on_change(move |address: &String, standing| {
        let endpoint = endpoints.iter().find(|stats| stats.endpoint == *address);
        if let Some(endpoint) = endpoint {
            endpoint.set_ejected(standing != Standing::Healthy);
        }
        probes.changed(address, standing);
    });
}
