//! Ejects failing endpoints.

use tower::BoxError;
use tower::classify::http::{ClassifyError, HttpClassify};
use tower::classify::{Class, FailureKind, cause_ref};
use tower::health::policy::outlier::OutlierConfig;
use tower::health::{Health, Standing, Uneject};

use super::recovery::RecoveryProbes;
use crate::config::{Cluster, Protocol};
use crate::metrics::ClusterStats;
use crate::upstream::UpstreamError;

/// The classification of a cluster's results.
pub type Classify = HttpClassify<Upstream>;

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

/// Returns the classification of a cluster's results.
pub fn classify() -> Classify {
    HttpClassify::new().errors(Upstream)
}

/// Classifies the errors of endpoints by what they say about the endpoint's health.
#[derive(Debug, Clone, Copy)]
pub struct Upstream;

impl ClassifyError<BoxError> for Upstream {
    fn classify_error(&self, error: &BoxError) -> Class {
        match cause_ref::<UpstreamError>(error.as_ref()) {
            // The client's fault and local limits say nothing about the endpoint.
            Some(error) if error.is_ours() => Class::Ignored,
            Some(error) if error.is_unsent() => Class::Unsent,
            _ => Class::failure(FailureKind::Disconnected),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::upstream::ConnectError;

    fn connect(error: io::Error) -> UpstreamError {
        UpstreamError::Connect {
            endpoint: "a.example:1".parse().unwrap(),
            source: ConnectError::Tcp(error),
        }
    }

    #[test]
    fn local_limits_are_no_failure_of_the_endpoint() {
        let unavailable = io::Error::from(io::ErrorKind::AddrNotAvailable);
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        for (error, expected) in [
            (UpstreamError::Exhausted, false),
            (connect(unavailable), false),
            (connect(refused), true),
            (UpstreamError::Stalled, true),
            (UpstreamError::Closed, true),
        ] {
            let error = BoxError::from(error);
            let class = Upstream.classify_error(&error);
            assert_eq!(class.is_failure(), expected, "{error}");
            assert_eq!(class == Class::Ignored, !expected, "{error}");
        }
    }
}
