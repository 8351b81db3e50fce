//! When an endpoint is ejected, and for how long.

use std::time::Duration;

use serde::Deserialize;

use super::value::{Count, Percent, Positive, Switch, read};

/// When an endpoint is left out: a 5xx, a gRPC status that says the same, and no answer are failures. Over HTTP/1.1, requests
/// count as failures as well while the endpoint has answered none for an interval, until it does.
///
/// An endpoint that is ejected and goes down returns when it is up again, at most once in each `base_ejection_time`.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    deny_unknown_fields,
    default,
    expecting = "a table such as { consecutive_failures = 5 }"
)]
pub struct OutlierDetection {
    /// Whether any endpoint is ejected. By default yes.
    #[serde(deserialize_with = "read::<Switch, _>")]
    pub enabled: bool,
    /// The number of consecutive failures that eject an endpoint. By default 5.
    #[serde(deserialize_with = "read::<Count<1, 1_000_000>, _>")]
    pub consecutive_failures: usize,
    /// How long a request waited for the endpoint that is cancelled by a timeout, or because a hedge was faster, and then
    /// counts as a failure. By default 250 milliseconds, or three quarters of the shortest timeout of the cluster's routes if
    /// that is less. A client that goes away is never a failure of the endpoint.
    #[serde(deserialize_with = "read::<Positive, _>")]
    pub cancelled_after: Duration,
    /// How long the first ejection of an endpoint lasts; each further one lasts longer. By default 30 seconds.
    #[serde(deserialize_with = "read::<Positive, _>")]
    pub base_ejection_time: Duration,
    /// But no longer. By default 5 minutes.
    #[serde(deserialize_with = "read::<Positive, _>")]
    pub max_ejection_time: Duration,
    /// The maximum share of ejected endpoints, in percent; one may be ejected in any case. By default 10.
    #[serde(deserialize_with = "read::<Percent, _>")]
    pub max_ejection_percent: u32,
    /// How often it is looked whether one may return, or answers nothing. By default 10 seconds.
    #[serde(deserialize_with = "read::<Positive, _>")]
    pub interval: Duration,
}

impl Default for OutlierDetection {
    fn default() -> Self {
        Self {
            enabled: true,
            consecutive_failures: 5,
            cancelled_after: Duration::from_millis(250),
            base_ejection_time: Duration::from_secs(30),
            max_ejection_time: Duration::from_secs(300),
            max_ejection_percent: 10,
            interval: Duration::from_secs(10),
        }
    }
}
