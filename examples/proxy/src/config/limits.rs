//! What a route takes in at a time.

use serde::Deserialize;

use super::value::{ByteSize, Count, read};

/// What a route takes in.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    deny_unknown_fields,
    default,
    expecting = "a table such as { max_in_flight = 1024 }"
)]
pub struct Limits {
    /// How many requests at a time, until their responses begin; what is more gets a 503. By default 1024.
    #[serde(deserialize_with = "read::<Count<1, 1_000_000>, _>")]
    pub max_in_flight: usize,
    /// How many bytes of a request's body, or all of a shorter one, must have come before the request takes its place
    /// and its upstream connection, from 0 to 16 MiB. By default 1: the body must have begun. gRPC calls do not wait,
    /// since there the server may be the first to speak.
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
