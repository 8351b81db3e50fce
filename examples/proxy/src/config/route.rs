//! Which requests go where, and how they are treated.

use std::time::Duration;

use http::HeaderName;
use serde::{Deserialize, Deserializer};

use super::value::{FreeHeader, HostPattern, NormalPath, OrOff, read, some};
use super::{Hedge, Limits, Retry, default};

/// Requests for a host and below a path, and how they are treated.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table: [[routes]]")]
pub struct Route {
    /// `example.com`, `*.example.com`, or any host if there is none.
    #[serde(default, deserialize_with = "some::<HostPattern, _>")]
    pub host: Option<String>,
    /// What the path begins with, by whole segments. By default `/`.
    #[serde(default = "default::path", deserialize_with = "read::<NormalPath, _>")]
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
        deserialize_with = "read::<FreeHeader, _>"
    )]
    pub timeout_header: HeaderName,
    /// How long the next piece of a body may be waited for, either way. By default 5 minutes.
    #[serde(
        default = "default::idle_timeout",
        deserialize_with = "read::<OrOff, _>"
    )]
    pub idle_timeout: Option<Duration>,
    /// How long the next piece of a request's body may be waited for, if that is less than `idle_timeout`; gRPC calls excepted,
    /// in which a client may be silent for long. By default 60 seconds.
    #[serde(
        default = "default::upload_idle_timeout",
        deserialize_with = "read::<OrOff, _>"
    )]
    pub upload_idle_timeout: Option<Duration>,
    /// How long a whole body may take, either way. By default as long as it likes.
    #[serde(default, deserialize_with = "read::<OrOff, _>")]
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
        let timeout = read::<OrOff, _>(deserializer)?;
        Ok(Self {
            http: timeout,
            grpc: timeout,
        })
    }
}
