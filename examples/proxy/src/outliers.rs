//! Which endpoints are left out for a while because they fail.

use http::Response;
use tower::BoxError;
use tower::balance::health::{Health, Outcome, Standing};
use tower::balance::policy::outlier::OutlierConfig;
use tower::retry::http::Code;

use crate::config::Outliers;
use crate::error::cause_of;
use crate::metrics::ClusterStats;
use crate::upstream::{UpstreamBody, UpstreamError};

/// How an answer speaks of its endpoint.
pub type Classify = fn(Result<&Response<UpstreamBody>, &BoxError>) -> Outcome;

/// The detector's configuration.
pub fn detector(outliers: &Outliers) -> OutlierConfig {
    let detector = OutlierConfig::default().success_rate(None);
    if !outliers.enabled {
        return detector.consecutive(None).cancelled_after(None);
    }
    detector
        .consecutive(u32::try_from(outliers.consecutive).ok())
        .cancelled_after(Some(outliers.cancelled_after))
        .base_ejection_time(outliers.ejection_time)
        .max_ejection_time(outliers.max_ejection_time)
        .max_ejection_percent(outliers.max_ejection_percent)
        .interval(outliers.interval)
}

/// The health of a cluster, which tells the metrics.
pub fn health(stats: &ClusterStats) -> Health<String> {
    let health = Health::new();
    let endpoints = stats.endpoints.clone();
    health.on_change(move |address: &String, standing| {
        let endpoint = endpoints.iter().find(|stats| stats.endpoint == *address);
        if let Some(endpoint) = endpoint {
            endpoint.set_ejected(standing != Standing::Well);
        }
    });
    health
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
            // The client's fault says nothing of the endpoint.
            Some(UpstreamError::RequestBody(_)) => Outcome::Ignored,
            _ => Outcome::Failure,
        },
    }
}
