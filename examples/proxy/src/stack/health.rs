//! Which endpoints are left out for a while because they fail.

use http::Response;
use tower::BoxError;
use tower::classify::http::Code;
use tower::health::policy::outlier::OutlierConfig;
use tower::health::{Health, Outcome, Standing, Uneject};

use super::comeback::Comebacks;
use crate::config::{Cluster, Protocol};
use crate::front::body::UpstreamBody;
use crate::front::failure::cause_of;
use crate::metrics::ClusterStats;
use crate::upstream::UpstreamError;

/// How an answer speaks of its endpoint.
pub type Classify = fn(Result<&Response<UpstreamBody>, &BoxError>) -> Outcome;

/// The configuration of a cluster's detector.
pub fn detector(cluster: &Cluster) -> OutlierConfig {
    let config = &cluster.outlier_detection;
    let detector = OutlierConfig::default().success_rate(None);
    if !config.enabled {
        return detector.consecutive(None).cancelled_after(None);
    }
    detector
        .consecutive(u32::try_from(config.consecutive_failures).ok())
        // An HTTP/2 endpoint that hangs does not answer pings either. Without an answer may be a gRPC call that waits for
        // its first message.
        .count_silence(cluster.protocol == Protocol::Http1)
        .cancelled_after(Some(config.cancelled_after))
        .base_ejection_time(config.base_ejection_time)
        .max_ejection_time(config.max_ejection_time)
        .max_ejection_percent(config.max_ejection_percent)
        .interval(config.interval)
}

/// Tells the metrics how the endpoints of a cluster do, and looks after those that were ejected.
///
/// To be called inside a tokio runtime.
pub fn watch(
    health: &Health<String>,
    cluster: &Cluster,
    stats: &ClusterStats,
    uneject: Uneject<String>,
) {
    let comebacks = Comebacks::new(cluster, uneject);
    let endpoints = stats.endpoints.clone();
    health.on_change(move |address: &String, standing| {
        let endpoint = endpoints.iter().find(|stats| stats.endpoint == *address);
        if let Some(endpoint) = endpoint {
            endpoint.set_ejected(standing != Standing::Well);
        }
        comebacks.changed(address, standing);
    });
}

/// Judges an answer.
pub fn classify(result: Result<&Response<UpstreamBody>, &BoxError>) -> Outcome {
    match result {
        Ok(response) if response.status().is_server_error() => Outcome::Failure,
        Ok(response) => match Code::of(response.headers()) {
            Some(
                Code::Unknown
                | Code::DeadlineExceeded
                | Code::Internal
                | Code::Unavailable
                | Code::DataLoss,
            ) => Outcome::Failure,
            _ => Outcome::Success,
        },
        Err(error) => match cause_of::<UpstreamError>(error.as_ref()) {
            // The client's fault says nothing of the endpoint, nor does what this side allows or lacks.
            Some(error) if error.is_ours() => Outcome::Ignored,
            _ => Outcome::Failure,
        },
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
    fn what_this_side_allows_or_lacks_is_no_failure_of_the_endpoint() {
        let unavailable = io::Error::from(io::ErrorKind::AddrNotAvailable);
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        for (error, expected) in [
            (UpstreamError::Exhausted, Outcome::Ignored),
            (connect(unavailable), Outcome::Ignored),
            (connect(refused), Outcome::Failure),
            (UpstreamError::Stalled, Outcome::Failure),
            (UpstreamError::Closed, Outcome::Failure),
        ] {
            let error = BoxError::from(error);
            assert_eq!(classify(Err(&error)), expected, "{error}");
        }
    }
}
