//! Which requests are retried, and how often.

use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;
use tower::classify::http::Code;

use super::value::{
    ByteSize, Count, DurationText, ErrorStatus, OrOff, Positive, RetryRatio, list, read,
};

/// Which requests are retried, and how often.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    deny_unknown_fields,
    default,
    expecting = "a table such as { max_attempts = 3 }"
)]
pub struct Retry {
    /// The maximum number of attempts, the first one included, from 1 to 10. By default 3.
    #[serde(deserialize_with = "read::<Count<1, 10, u32>, _>")]
    pub max_attempts: u32,
    /// The retry budget: the maximum number of retries for each request of the last 10 seconds, from 0 to 10. By
    /// default 0.2.
    #[serde(deserialize_with = "read::<RetryRatio, _>")]
    pub retry_ratio: f32,
    /// The number of retries per second that are allowed in addition to `retry_ratio`, from 0 to 1,000,000. By default
    /// 10.
    #[serde(deserialize_with = "read::<Count<0, 1_000_000, u32>, _>")]
    pub min_retries_per_second: u32,
    /// The delay before the first retry, which doubles with each further one. By default 25 ms.
    #[serde(deserialize_with = "read::<Positive, _>")]
    pub initial_backoff: Duration,
    /// The maximum delay. By default 250 ms.
    #[serde(deserialize_with = "read::<Positive, _>")]
    pub max_backoff: Duration,
    /// The time limit for one attempt, until its response begins. By default none but that of the route.
    #[serde(deserialize_with = "read::<OrOff, _>")]
    pub per_try_timeout: Option<Duration>,
    /// The statuses after which an HTTP request is retried. By default 502, 503 and 504.
    #[serde(deserialize_with = "list::<ErrorStatus, _>")]
    pub retriable_status_codes: Vec<StatusCode>,
    /// The codes after which a gRPC call is retried. By default UNAVAILABLE.
    #[serde(deserialize_with = "list::<Code, _>")]
    pub retriable_grpc_codes: Vec<Code>,
    /// The maximum `retry-after` delay; if the upstream asks for more, the client gets the response. By default
    /// 30 seconds.
    #[serde(deserialize_with = "read::<DurationText, _>")]
    pub max_retry_after: Duration,
    /// The maximum size of a request body that is kept for retries, from 0 to 16 MiB. A request with a larger one is
    /// sent once. By default 64 KiB.
    #[serde(deserialize_with = "read::<ByteSize<0, 16_777_216>, _>")]
    pub max_replay_bytes: usize,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            retry_ratio: 0.2,
            min_retries_per_second: 10,
            initial_backoff: Duration::from_millis(25),
            max_backoff: Duration::from_millis(250),
            per_try_timeout: None,
            retriable_status_codes: vec![
                StatusCode::BAD_GATEWAY,
                StatusCode::SERVICE_UNAVAILABLE,
                StatusCode::GATEWAY_TIMEOUT,
            ],
            retriable_grpc_codes: vec![Code::Unavailable],
            max_retry_after: Duration::from_secs(30),
            max_replay_bytes: 64 * 1024,
        }
    }
}
