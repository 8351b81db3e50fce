//! A cluster: its endpoints, and how requests are distributed among them.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use super::value::{Count, Positive, Weight, list, read};
use super::{Connections, Endpoint, HashKey, OutlierDetection, default};

/// Endpoints that serve the same requests.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table: [clusters.NAME]")]
pub struct Cluster {
    /// The protocol of the endpoints. By default HTTP/1.1.
    #[serde(default)]
    pub protocol: Protocol,
    /// The addresses of the endpoints, at least one.
    #[serde(deserialize_with = "list::<Endpoint, _>")]
    pub endpoints: Vec<Endpoint>,
    /// The weight of each endpoint in their order, from 0 to 1000. An endpoint of weight 0 receives no requests. By
    /// default all are equal.
    #[serde(default, deserialize_with = "list::<Weight, _>")]
    pub weights: Vec<u32>,
    /// How an endpoint is chosen. By default [`Balancer::P2c`].
    #[serde(default)]
    pub lb_policy: Balancer,
    /// The hash key of `ring_hash` and `maglev`. By default the path.
    #[serde(default)]
    pub hash_policy: HashKey,
    /// When failing endpoints are ejected.
    #[serde(default)]
    pub outlier_detection: OutlierDetection,
    /// The time limit for establishing a connection. By default 1 second.
    #[serde(
        default = "default::connect_timeout",
        deserialize_with = "read::<Positive, _>"
    )]
    pub connect_timeout: Duration,
    /// How long requests are queued while no endpoint is ready. After that, all get a 503 immediately until an endpoint
    /// is ready. By default 3 seconds.
    #[serde(
        default = "default::failfast_timeout",
        deserialize_with = "read::<Positive, _>"
    )]
    pub failfast_timeout: Duration,
    /// The maximum number of requests that wait for an endpoint. By default 1024.
    #[serde(
        default = "default::queue_capacity",
        deserialize_with = "read::<Count<1, 1_000_000>, _>"
    )]
    pub queue_capacity: usize,
    /// The connections to each endpoint.
    #[serde(default)]
    pub connections: Connections,
}

/// How an endpoint is chosen for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(
    rename_all = "snake_case",
    expecting = "\"p2c\", \"round_robin\", \"random\", \"ring_hash\" or \"maglev\""
)]
pub enum Balancer {
    /// Of two ready endpoints drawn at random, the one with fewer requests in flight relative to its weight.
    #[default]
    P2c,
    /// In turn, by weight.
    RoundRobin,
    /// At random, by weight.
    Random,
    /// Consistent hashing on a ring.
    RingHash,
    /// Consistent hashing by Maglev's table.
    Maglev,
}

/// The protocol of upstreams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase", expecting = "\"http1\" or \"http2\"")]
pub enum Protocol {
    /// HTTP/1.1, one request at a time on each connection.
    #[default]
    Http1,
    /// HTTP/2 with prior knowledge, many requests at a time on each connection.
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
