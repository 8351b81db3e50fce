//! Endpoints that answer alike, and which of them gets a request.

use std::fmt;
use std::time::Duration;

use http::HeaderName;
use serde::Deserialize;

use super::{Connections, Endpoint, default, value};

/// Endpoints that answer alike.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// What they speak. By default HTTP/1.1.
    #[serde(default)]
    pub protocol: Protocol,
    /// Their addresses. At least one.
    pub endpoints: Vec<Endpoint>,
    /// How strong each of them is beside the others, in their order, from 0 to 1000. By default all are alike.
    #[serde(default, deserialize_with = "value::weights")]
    pub weights: Vec<u32>,
    /// Which of them gets a request. By default the one of two, drawn at random, with fewer requests in flight.
    #[serde(default)]
    pub balancer: Balancer,
    /// What the balancers `ring_hash` and `maglev` go by. By default the path.
    #[serde(default)]
    pub hash: HashKey,
    /// Which of them are ejected for a while because they fail.
    #[serde(default)]
    pub outliers: Outliers,
    /// How long connecting to one may take. By default 1 second.
    #[serde(
        default = "default::connect_timeout",
        deserialize_with = "value::duration"
    )]
    pub connect_timeout: Duration,
    /// How long requests wait while no endpoint is ready, until all get a 503 at once. By default 3 seconds.
    #[serde(
        default = "default::unavailable_timeout",
        deserialize_with = "value::duration"
    )]
    pub unavailable_timeout: Duration,
    /// How many requests may wait for an endpoint. By default 1024.
    #[serde(default = "default::buffer", deserialize_with = "value::count")]
    pub buffer: usize,
    /// The connections to each endpoint.
    #[serde(default)]
    pub connections: Connections,
}

/// When an endpoint is left out: a 5xx, a gRPC status that says the same, and no answer are failures. Over HTTP/1.1, requests
/// count as failures as well while the endpoint has answered none for an interval, until it does.
///
/// An endpoint that is ejected and goes down returns when it is up again, at most once in each `ejection_time`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Outliers {
    /// Whether any endpoint is ejected. By default yes.
    pub enabled: bool,
    /// The number of consecutive failures that eject an endpoint. By default 5.
    #[serde(deserialize_with = "value::count")]
    pub consecutive: usize,
    /// How long a request waited for the endpoint that is cancelled by a timeout, or because a hedge was faster, and then
    /// counts as a failure. By default 250 milliseconds, or three quarters of the shortest timeout of the cluster's routes if
    /// that is less. A client that goes away is never a failure of the endpoint.
    #[serde(deserialize_with = "value::duration")]
    pub cancelled_after: Duration,
    /// How long the first ejection of an endpoint lasts; each further one lasts longer. By default 30 seconds.
    #[serde(deserialize_with = "value::duration")]
    pub ejection_time: Duration,
    /// But no longer. By default 5 minutes.
    #[serde(deserialize_with = "value::duration")]
    pub max_ejection_time: Duration,
    /// The maximum share of ejected endpoints, in percent; one may be ejected in any case. By default 10.
    #[serde(deserialize_with = "value::percent")]
    pub max_ejection_percent: u32,
    /// How often it is looked whether one may return, or answers nothing. By default 10 seconds.
    #[serde(deserialize_with = "value::duration")]
    pub interval: Duration,
}

/// Which endpoint gets a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Balancer {
    /// Of two that are drawn at random, the one with fewer requests in flight for its weight.
    #[default]
    P2c,
    /// One after the other, by weight.
    RoundRobin,
    /// By chance, by weight.
    Random,
    /// The same for the same key, by a ring.
    RingHash,
    /// The same for the same key, by a table.
    Maglev,
}

/// The key of a request, for the balancers that go by it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HashKey {
    /// The path, without the query.
    #[default]
    Path,
    /// The value of a header; any endpoint without it.
    #[serde(deserialize_with = "value::header")]
    Header(HeaderName),
    /// The value of a cookie; any endpoint without it.
    Cookie(String),
}

/// What an upstream speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.1, one request at a time on each connection.
    #[default]
    Http1,
    /// HTTP/2 with prior knowledge, all requests on one connection.
    Http2,
}

impl Default for Outliers {
    fn default() -> Self {
        Self {
            enabled: true,
            consecutive: 5,
            cancelled_after: Duration::from_millis(250),
            ejection_time: Duration::from_secs(30),
            max_ejection_time: Duration::from_secs(300),
            max_ejection_percent: 10,
            interval: Duration::from_secs(10),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http1 => "http1",
            Self::Http2 => "http2",
        })
    }
}
