//! The connections of both sides: their number, lifetime and flow control.

use std::time::Duration;

use serde::Deserialize;

use super::value::{ByteSize, Count, OrOff, read, some};

/// Connections from clients, on all listeners together.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table: [clients]")]
pub struct Clients {
    /// The time from the start of a connection, or from the first byte of a further request, until the headers are
    /// complete. By default 30 seconds.
    #[serde(deserialize_with = "read::<OrOff, _>")]
    pub request_headers_timeout: Option<Duration>,
    /// Closes a connection without a request in flight. By default 75 seconds.
    #[serde(deserialize_with = "read::<OrOff, _>")]
    pub idle_timeout: Option<Duration>,
    /// The age after which a connection accepts no further requests. By default an hour.
    #[serde(deserialize_with = "read::<OrOff, _>")]
    pub max_connection_age: Option<Duration>,
    /// The maximum number of connections. Further ones wait to be accepted. By default half of the open files allowed
    /// to the process, less a reserve.
    #[serde(deserialize_with = "some::<Count<1, 1_000_000>, _>")]
    pub max_connections: Option<usize>,
    /// After this time without data, the client is probed by an HTTP/2 ping or TCP keep-alive, and has the same time to
    /// answer. By default 20 seconds.
    #[serde(deserialize_with = "read::<OrOff, _>")]
    pub keep_alive_interval: Option<Duration>,
    /// The number of concurrent requests on one HTTP/2 connection, from 1 to 1,000. By default 128.
    #[serde(deserialize_with = "read::<Count<1, 1000, u32>, _>")]
    pub max_concurrent_streams: u32,
    /// The flow-control window of an HTTP/2 stream in bytes, from 16 KiB to 16 MiB: how much of a request body is
    /// buffered before it is forwarded. By default 256 KiB.
    #[serde(deserialize_with = "read::<ByteSize<16_384, 16_777_216, u32>, _>")]
    pub initial_stream_window_size: u32,
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
    /// The maximum number of connections to each endpoint. By default 1,024 (HTTP/1.1) or 32 (HTTP/2), and all together
    /// at most half of the open files allowed to the process.
    #[serde(deserialize_with = "some::<Count<1, 1_000_000>, _>")]
    pub max_connections: Option<usize>,
    /// Closes a connection without requests. By default a minute.
    #[serde(deserialize_with = "read::<OrOff, _>")]
    pub idle_timeout: Option<Duration>,
    /// The age after which a connection gets no further requests. By default an hour.
    #[serde(deserialize_with = "read::<OrOff, _>")]
    pub max_connection_age: Option<Duration>,
    /// After this time without data, the endpoint is probed by an HTTP/2 ping or TCP keep-alive, and has the same time
    /// to answer. By default 20 seconds.
    #[serde(deserialize_with = "read::<OrOff, _>")]
    pub keep_alive_interval: Option<Duration>,
    /// The number of concurrent requests on one HTTP/2 connection, from 1 to 1,000, if the endpoint allows that many.
    /// By default 128.
    #[serde(deserialize_with = "read::<Count<1, 1000, u32>, _>")]
    pub max_concurrent_streams: u32,
    /// The flow-control window of an HTTP/2 stream in bytes, from 16 KiB to 16 MiB: how much of a response is buffered
    /// before its client reads it. By default 48 KiB.
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
