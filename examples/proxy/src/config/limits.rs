//! The limits on the requests of a route.

use serde::Deserialize;

use super::value::{ByteSize, Count, read, some};

/// The limits on the requests of a route.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    deny_unknown_fields,
    default,
    expecting = "a table such as { max_in_flight = 1024 }"
)]
pub struct Limits {
    /// The maximum number of in-flight requests, counted until their response begins. Further requests get a 503. By
    /// default 1024.
    #[serde(deserialize_with = "read::<Count<1, 1_000_000>, _>")]
    pub max_in_flight: usize,
    /// How much of a request body, or all of a shorter one, must have arrived before the request counts as in flight
    /// and is forwarded, from 0 to 16 MiB. By default 1. gRPC calls do not wait, since there the server may send first.
    #[serde(deserialize_with = "read::<ByteSize<0, 16_777_216>, _>")]
    pub request_buffer_bytes: usize,
    /// The maximum rate of requests. Further requests get a 429 with a `retry-after`. By default none.
    #[serde(deserialize_with = "some::<Count<1, 1_000_000, u64>, _>")]
    pub requests_per_second: Option<u64>,
    /// How many requests may exceed the rate at once, after a pause. By default the rate of a second.
    #[serde(deserialize_with = "some::<Count<1, 1_000_000, u64>, _>")]
    pub burst: Option<u64>,
    /// The limits on the requests of each client.
    pub per_client: PerClient,
}

/// The limits on the requests of each client of a route, known by its IP address, or by the first 64 bits of one of IPv6.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    deny_unknown_fields,
    default,
    expecting = "a table such as { requests_per_second = 10 }"
)]
pub struct PerClient {
    /// As in [`Limits`].
    #[serde(deserialize_with = "some::<Count<1, 1_000_000, u64>, _>")]
    pub requests_per_second: Option<u64>,
    /// As in [`Limits`].
    #[serde(deserialize_with = "some::<Count<1, 1_000_000, u64>, _>")]
    pub burst: Option<u64>,
    /// The maximum number of in-flight requests of a client, counted until their response begins. Further requests get a
    /// 429. By default none.
    #[serde(deserialize_with = "some::<Count<1, 1_000_000>, _>")]
    pub max_in_flight: Option<usize>,
    /// The maximum number of clients that are known at the same time, each of which takes some 60 bytes. If there are
    /// more, those that have used the least of their limits are forgotten. By default 100,000.
    #[serde(deserialize_with = "read::<Count<1, 10_000_000>, _>")]
    pub max_clients: usize,
}

impl Default for PerClient {
    fn default() -> Self {
        Self {
            requests_per_second: None,
            burst: None,
            max_in_flight: None,
            max_clients: 100_000,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_in_flight: 1024,
            request_buffer_bytes: 1,
            requests_per_second: None,
            burst: None,
            per_client: PerClient::default(),
        }
    }
}
