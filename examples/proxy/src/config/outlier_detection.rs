//! When an endpoint is ejected, and for how long.

use std::time::Duration;

use serde::Deserialize;

use super::value::{Count, Percent, Positive, Switch, read};

/// When an endpoint is ejected. A 5xx response, a gRPC status that means the same, and no response are failures. Over
/// HTTP/1.1, while an endpoint has answered no request for one `interval`, each request that waits for it counts as a
/// failure as well.
///
/// An ejected endpoint that goes down returns when it is up again, at most once per `base_ejection_time`.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    deny_unknown_fields,
    default,
    expecting = "a table such as { consecutive_failures = 5 }"
)]
pub struct OutlierDetection {
    /// Whether endpoints are ejected. By default `true`.
    #[serde(deserialize_with = "read::<Switch, _>")]
    pub enabled: bool,
    /// The number of consecutive failures after which an endpoint is ejected. By default 5.
    #[serde(deserialize_with = "read::<Count<1, 1_000_000>, _>")]
    pub consecutive_failures: usize,
    /// A request that a timeout or a faster hedge cancels counts as a failure if it has waited this long for the
    /// endpoint. By default 250 milliseconds, and at most three quarters of the shortest timeout of the cluster's
    /// routes. A request that its client cancels never counts.
    #[serde(deserialize_with = "read::<Positive, _>")]
    pub cancelled_after: Duration,
    /// The duration of the first ejection of an endpoint. Each further one is longer. By default 30 seconds.
    #[serde(deserialize_with = "read::<Positive, _>")]
    pub base_ejection_time: Duration,
    /// The maximum duration of an ejection. By default 5 minutes.
    #[serde(deserialize_with = "read::<Positive, _>")]
    pub max_ejection_time: Duration,
    /// The maximum share of endpoints that are ejected at a time, in percent. One may always be ejected. By default 10.
    #[serde(deserialize_with = "read::<Percent, _>")]
    pub max_ejection_percent: u32,
    /// How often ejected endpoints are checked for their return. By default 10 seconds.
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
