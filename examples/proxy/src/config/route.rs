//! Which requests go where, and how they are treated.

use std::time::Duration;

use http::{HeaderName, StatusCode};
use serde::{Deserialize, Deserializer};
use tower::classify::http::Code;

use super::{default, value};

/// Requests for a host and below a path, and how they are treated.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// `example.com`, `*.example.com`, or any host if there is none.
    #[serde(default, deserialize_with = "value::host")]
    pub host: Option<String>,
    /// What the path begins with, by whole segments. By default `/`.
    #[serde(default = "default::path", deserialize_with = "value::path")]
    pub path: String,
    /// The cluster that answers.
    pub cluster: String,
    /// How long all attempts together may take, whatever the client says: until the response begins, for gRPC until it has
    /// ended. By default a minute, and for gRPC as long as the client says.
    #[serde(default)]
    pub timeout: Timeout,
    /// The header by which a client, other than one of gRPC, says in milliseconds how long it waits; and by which the upstream
    /// is told. By default `x-request-timeout-ms`.
    #[serde(
        default = "default::timeout_header",
        deserialize_with = "value::own_header"
    )]
    pub timeout_header: HeaderName,
    /// How long the next piece of a body may be waited for, either way. By default 5 minutes.
    #[serde(
        default = "default::idle_timeout",
        deserialize_with = "value::duration_or_off"
    )]
    pub idle_timeout: Option<Duration>,
    /// How long the next piece of a request's body may be waited for, if that is less than `idle_timeout`; gRPC calls excepted,
    /// in which a client may be silent for long. By default 60 seconds.
    #[serde(
        default = "default::upload_idle_timeout",
        deserialize_with = "value::duration_or_off"
    )]
    pub upload_idle_timeout: Option<Duration>,
    /// How long a whole body may take, either way. By default as long as it likes.
    #[serde(default, deserialize_with = "value::duration_or_off")]
    pub body_timeout: Option<Duration>,
    /// What is sent again.
    #[serde(default)]
    pub retry: Retry,
    /// What is sent a second time before the first has an answer. By default nothing.
    pub hedge: Option<Hedge>,
    /// What is refused.
    #[serde(default)]
    pub limits: Limits,
}

/// How long a request may take on a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeout {
    /// Until the response begins. `None` for as long as the client says.
    pub http: Option<Duration>,
    /// Until the response to a gRPC call has ended. `None` for as long as the client says.
    ///
    /// There is none unless the route sets one: gRPC's deadlines are for whole calls, and a stream has no usual duration.
    pub grpc: Option<Duration>,
}

/// How often a request is sent.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// The maximum number of attempts, from 1 to 10. By default 3.
    #[serde(deserialize_with = "value::attempts")]
    pub attempts: u32,
    /// Retries as a share of the requests of the last ten seconds, from 0 to 10. By default 0.2.
    #[serde(deserialize_with = "value::share")]
    pub budget: f32,
    /// The number of retries per second that are always allowed, from 0 to 1,000,000. By default 10.
    #[serde(deserialize_with = "value::count_or_zero")]
    pub min_per_second: u32,
    /// The wait before the first retry, which doubles with each. By default 25 ms.
    #[serde(deserialize_with = "value::duration")]
    pub backoff: Duration,
    /// The longest wait. By default 250 ms.
    #[serde(deserialize_with = "value::duration")]
    pub max_backoff: Duration,
    /// How long an attempt may take until its response begins. By default as long as the route's timeout allows.
    #[serde(deserialize_with = "value::duration_or_off")]
    pub attempt_timeout: Option<Duration>,
    /// The statuses after which a request that may be repeated is sent again. By default 502, 503 and 504.
    #[serde(deserialize_with = "value::statuses")]
    pub statuses: Vec<StatusCode>,
    /// The codes after which a gRPC call is sent again. By default UNAVAILABLE.
    #[serde(deserialize_with = "value::grpc_codes")]
    pub grpc_codes: Vec<Code>,
    /// The longest `retry-after` that is waited for. By default 30 seconds.
    #[serde(deserialize_with = "value::duration_or_zero")]
    pub max_retry_after: Duration,
    /// The maximum size of a request body that is kept for retries, from 0 to 16 MiB. By default 64 KiB.
    #[serde(deserialize_with = "value::bytes")]
    pub replay_bytes: usize,
}

/// Which requests are slow, and how many of them are sent a second time.
///
/// Those with a safe method, or an `idempotency-key`, when all of their body has come and is kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hedge {
    /// Those that take longer than such a share of the recent requests, from 0.5 to 1. By default 0.99.
    #[serde(deserialize_with = "value::percentile")]
    pub percentile: f64,
    /// How long requests are recent, at least 100 ms. There are no hedges in the first fifth of it. By default 30 seconds.
    #[serde(deserialize_with = "value::window")]
    pub window: Duration,
    /// And not before. By default 1 ms.
    #[serde(deserialize_with = "value::duration_or_zero")]
    pub floor: Duration,
    /// The maximum number of hedges for each request that succeeds, from 0 to 1. By default 0.01.
    #[serde(deserialize_with = "value::part")]
    pub budget: f64,
    /// Whether the budget of the retries counts in its place. By default not.
    pub share_retry_budget: bool,
    /// Whether gRPC calls are hedged as well. By default they are not, since they may not be safe to do twice.
    pub grpc: bool,
}

/// What a route takes in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// How many requests at a time, until their responses begin; what is more gets a 503. By default 1024.
    #[serde(deserialize_with = "value::count")]
    pub concurrency: usize,
    /// How many bytes of a request's body, or all of a shorter one, must have come before the request takes its place
    /// and its upstream connection, from 0 to 16 MiB. By default 1: the body must have begun. gRPC calls do not wait,
    /// since there the server may be the first to speak.
    #[serde(deserialize_with = "value::bytes")]
    pub request_buffer: usize,
}

impl Route {
    /// All requests to this cluster, with the defaults.
    pub fn to(cluster: &str) -> Self {
        Self {
            host: None,
            path: default::path(),
            cluster: cluster.to_owned(),
            timeout: Timeout::default(),
            timeout_header: default::timeout_header(),
            idle_timeout: default::idle_timeout(),
            upload_idle_timeout: default::upload_idle_timeout(),
            body_timeout: None,
            retry: Retry::default(),
            hedge: None,
            limits: Limits::default(),
        }
    }

    /// Its name in metrics: the host, if there is one, and the path.
    pub fn label(&self) -> String {
        format!("{}{}", self.host.as_deref().unwrap_or(""), self.path)
    }
}

impl Default for Timeout {
    fn default() -> Self {
        Self {
            http: Some(Duration::from_secs(60)),
            grpc: None,
        }
    }
}

impl<'de> Deserialize<'de> for Timeout {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let timeout = value::duration_or_off(deserializer)?;
        Ok(Self {
            http: timeout,
            grpc: timeout,
        })
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 3,
            budget: 0.2,
            min_per_second: 10,
            backoff: Duration::from_millis(25),
            max_backoff: Duration::from_millis(250),
            attempt_timeout: None,
            statuses: vec![
                StatusCode::BAD_GATEWAY,
                StatusCode::SERVICE_UNAVAILABLE,
                StatusCode::GATEWAY_TIMEOUT,
            ],
            grpc_codes: vec![Code::Unavailable],
            max_retry_after: Duration::from_secs(30),
            replay_bytes: 64 * 1024,
        }
    }
}

impl Default for Hedge {
    fn default() -> Self {
        Self {
            percentile: 0.99,
            window: Duration::from_secs(30),
            floor: Duration::from_millis(1),
            budget: 0.01,
            share_retry_budget: false,
            grpc: false,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            concurrency: 1024,
            request_buffer: 1,
        }
    }
}
