//! Which requests are forwarded where, and under which conditions.

use std::time::Duration;

use http::HeaderName;
use serde::{Deserialize, Deserializer};

use super::value::{FreeHeader, HostPattern, NormalPath, OrOff, read, some};
use super::{Hedge, Limits, Retry, default};

/// Requests for a host and below a path, and how they are forwarded.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table: [[routes]]")]
pub struct Route {
    /// `example.com` or `*.example.com`. By default any host.
    #[serde(default, deserialize_with = "some::<HostPattern, _>")]
    pub host: Option<String>,
    /// The prefix of the path, by whole segments. By default `/`.
    #[serde(default = "default::path", deserialize_with = "read::<NormalPath, _>")]
    pub path: String,
    /// The cluster to which requests are forwarded.
    pub cluster: String,
    /// The time limit over all attempts, unless the client sets a shorter one: until the response begins, or for gRPC
    /// until the call ends. By default a minute, and for gRPC none.
    #[serde(default)]
    pub timeout: Timeout,
    /// The header in which HTTP clients other than gRPC send their timeout in milliseconds, and in which the remaining
    /// time is forwarded. By default `x-request-timeout-ms`.
    #[serde(
        default = "default::timeout_header",
        deserialize_with = "read::<FreeHeader, _>"
    )]
    pub timeout_header: HeaderName,
    /// The maximum time without progress of a body, in either direction. By default 5 minutes.
    #[serde(
        default = "default::idle_timeout",
        deserialize_with = "read::<OrOff, _>"
    )]
    pub idle_timeout: Option<Duration>,
    /// The same for request bodies, if it is less than `idle_timeout`. Not applied to gRPC calls, in which a client may
    /// be silent for long. By default 60 seconds.
    #[serde(
        default = "default::upload_idle_timeout",
        deserialize_with = "read::<OrOff, _>"
    )]
    pub upload_idle_timeout: Option<Duration>,
    /// The time limit for a whole body, in either direction. By default none.
    #[serde(default, deserialize_with = "read::<OrOff, _>")]
    pub body_timeout: Option<Duration>,
    /// Which requests are retried.
    #[serde(default)]
    pub retry: Retry,
    /// Which requests are hedged. By default none.
    pub hedge: Option<Hedge>,
    /// The limits on the requests in flight.
    #[serde(default)]
    pub limits: Limits,
}

/// The time limits of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeout {
    /// Until the response begins. `None` if only the client sets one.
    pub http: Option<Duration>,
    /// Until the response to a gRPC call has ended. `None` if only the client sets one.
    ///
    /// None by default: gRPC's deadlines are for whole calls, and a stream has no usual duration.
    pub grpc: Option<Duration>,
}

impl Route {
    /// Creates a route for all requests to this cluster, with the defaults.
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

    /// Returns its name in metrics: the host, if there is one, and the path.
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
