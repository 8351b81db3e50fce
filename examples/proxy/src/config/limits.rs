//! The limits on the requests of a route.

use serde::Deserialize;

use super::value::{ByteSize, Count, read};

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
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_in_flight: 1024,
            request_buffer_bytes: 1,
        }
    }
}
