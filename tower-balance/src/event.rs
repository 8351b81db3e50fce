use tower_readiness::LayerEvent;

use crate::{BoxError, error};

/// An event of discovery or of an endpoint, passed to the observer of
/// [`Balance::on_event`](crate::p2c::Balance::on_event).
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a, K> {
    /// Discovery failed. The endpoints are kept, and discovery is polled again.
    DiscoveryFailed {
        /// The error; the error of the [`Discover`](tower_discover::Discover) is its
        /// [source](std::error::Error::source).
        error: &'a error::Discover,
    },
    /// An endpoint failed to become ready. It was dropped, and is used again only if discovery inserts it again.
    EndpointFailed {
        /// The key of the endpoint.
        key: &'a K,
        /// The error from its `poll_ready`.
        error: &'a BoxError,
    },
}

impl<K> LayerEvent for Event<'_, K> {
    const LAYER: &'static str = "balance";

    fn kind(&self) -> &'static str {
        match self {
            Self::DiscoveryFailed { .. } => "discovery_failed",
            Self::EndpointFailed { .. } => "endpoint_failed",
        }
    }
}
