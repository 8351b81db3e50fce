//! Endpoints that answer alike, and which of them gets a request.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use super::value::{Count, Positive, Weight, list, read};
use super::{Connections, Endpoint, HashKey, OutlierDetection, default};

/// Endpoints that answer alike.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table: [clusters.NAME]")]
pub struct Cluster {
    /// What they speak. By default HTTP/1.1.
    #[serde(default)]
    pub protocol: Protocol,
    /// Their addresses. At least one.
    #[serde(deserialize_with = "list::<Endpoint, _>")]
    pub endpoints: Vec<Endpoint>,
    /// How strong each of them is beside the others, in their order, from 0 to 1000. By default all are alike.
    #[serde(default, deserialize_with = "list::<Weight, _>")]
    pub weights: Vec<u32>,
    /// Which of them gets a request. By default the one of two, drawn at random, with fewer requests in flight.
    #[serde(default)]
    pub lb_policy: Balancer,
    /// What the balancers `ring_hash` and `maglev` go by. By default the path.
    #[serde(default)]
    pub hash_policy: HashKey,
    /// Which of them are ejected for a while because they fail.
    #[serde(default)]
    pub outlier_detection: OutlierDetection,
    /// How long connecting to one may take. By default 1 second.
    #[serde(
        default = "default::connect_timeout",
        deserialize_with = "read::<Positive, _>"
    )]
    pub connect_timeout: Duration,
    /// How long requests wait while no endpoint is ready, until all get a 503 at once. By default 3 seconds.
    #[serde(
        default = "default::failfast_timeout",
        deserialize_with = "read::<Positive, _>"
    )]
    pub failfast_timeout: Duration,
    /// How many requests may wait for an endpoint. By default 1024.
    #[serde(
        default = "default::queue_capacity",
        deserialize_with = "read::<Count<1, 1_000_000>, _>"
    )]
    pub queue_capacity: usize,
    /// The connections to each endpoint.
    #[serde(default)]
    pub connections: Connections,
}

/// Which endpoint gets a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(
    rename_all = "snake_case",
    expecting = "\"p2c\", \"round_robin\", \"random\", \"ring_hash\" or \"maglev\""
)]
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

/// What an upstream speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase", expecting = "\"http1\" or \"http2\"")]
pub enum Protocol {
    /// HTTP/1.1, one request at a time on each connection.
    #[default]
    Http1,
    /// HTTP/2 with prior knowledge, all requests on one connection.
    Http2,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http1 => "http1",
            Self::Http2 => "http2",
        })
    }
}
