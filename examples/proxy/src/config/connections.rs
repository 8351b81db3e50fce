//! The connections of both sides: how many, how long, and how much each may have in it.

use std::time::Duration;

use serde::Deserialize;

use super::value::{ByteSize, Count, OrOff, read, some};
use crate::server::Times;

/// Connections from clients, on all listeners together.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table: [clients]")]
pub struct Clients {
    /// How long the first bytes and the head of a request may take. By default 30 seconds.
    #[serde(deserialize_with = "read::<OrOff, _>")]
    pub request_headers_timeout: Option<Duration>,
    /// How long a connection stays without a request. By default 75 seconds.
    #[serde(deserialize_with = "read::<OrOff, _>")]
    pub idle_timeout: Option<Duration>,
    /// After how long a connection takes no more requests. By default an hour.
    #[serde(deserialize_with = "read::<OrOff, _>")]
    pub max_connection_age: Option<Duration>,
    /// How many there may be; further ones wait to be accepted. By default half of the open files that the process may
    /// have, less some.
    #[serde(deserialize_with = "some::<Count<1, 1_000_000>, _>")]
    pub max_connections: Option<usize>,
    /// After how long a silent peer is asked for a sign of life, by HTTP/2 or by TCP, and how long that may take. By
    /// default 20 seconds.
    #[serde(deserialize_with = "read::<OrOff, _>")]
    pub keep_alive_interval: Option<Duration>,
    /// How many requests an HTTP/2 connection may have at a time, from 1 to 1,000. By default 128.
    #[serde(deserialize_with = "read::<Count<1, 1000, u32>, _>")]
    pub max_concurrent_streams: u32,
    /// How many bytes of each of them may come before they are sent on, from 16 KiB to 16 MiB. By default 256 KiB.
    #[serde(deserialize_with = "read::<ByteSize<16_384, 16_777_216, u32>, _>")]
    pub initial_stream_window_size: u32,
}

impl Clients {
    /// How long connections may stay.
    pub const fn times(&self) -> Times {
        Times {
            head: self.request_headers_timeout,
            idle: self.idle_timeout,
            age: self.max_connection_age,
        }
    }
}

impl Default for Clients {
    fn default() -> Self {
        Self {
            request_headers_timeout: Some(Duration::from_secs(30)),
            idle_timeout: Some(Duration::from_secs(75)),
            max_connection_age: Some(Duration::from_secs(60 * 60)),
            max_connections: None,
            keep_alive_interval: Some(Duration::from_secs(20)),
            max_concurrent_streams: 128,
            initial_stream_window_size: 256 * 1024,
        }
    }
}

/// Connections to each endpoint of a cluster.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    deny_unknown_fields,
    default,
    expecting = "a table such as { max_connections = 1024 }"
)]
pub struct Connections {
    /// How many there may be. By default 1,024 of HTTP/1.1 and 32 of HTTP/2, and all together at most half of the open
    /// files that the process may have.
    #[serde(deserialize_with = "some::<Count<1, 1_000_000>, _>")]
    pub max_connections: Option<usize>,
    /// How long one stays without a request. By default a minute.
    #[serde(deserialize_with = "read::<OrOff, _>")]
    pub idle_timeout: Option<Duration>,
    /// After how long one gets no more requests. By default an hour.
    #[serde(deserialize_with = "read::<OrOff, _>")]
    pub max_connection_age: Option<Duration>,
    /// After how long a silent endpoint is asked for a sign of life, by HTTP/2 or by TCP, and how long that may take. By
    /// default 20 seconds.
    #[serde(deserialize_with = "read::<OrOff, _>")]
    pub keep_alive_interval: Option<Duration>,
    /// How many requests an HTTP/2 connection gets at a time, from 1 to 1,000, if the endpoint allows them. By default 128.
    #[serde(deserialize_with = "read::<Count<1, 1000, u32>, _>")]
    pub max_concurrent_streams: u32,
    /// How many bytes of each response may come before the client reads them, from 16 KiB to 16 MiB. By default 48 KiB.
    #[serde(deserialize_with = "read::<ByteSize<16_384, 16_777_216, u32>, _>")]
    pub initial_stream_window_size: u32,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            max_connections: None,
            idle_timeout: Some(Duration::from_secs(60)),
            max_connection_age: Some(Duration::from_secs(60 * 60)),
            keep_alive_interval: Some(Duration::from_secs(20)),
            max_concurrent_streams: 128,
            initial_stream_window_size: 48 * 1024,
        }
    }
}
