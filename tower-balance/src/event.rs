use crate::{BoxError, error};

/// What has become of discovery or of an endpoint, as told to [`Balance::on_event`](crate::p2c::Balance::on_event).
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a, K> {
    /// Discovery has failed. The endpoints stay, and discovery goes on.
    DiscoveryFailed {
        /// Why; the discovery's own error is its [source](std::error::Error::source).
        error: &'a error::Discover,
    },
    /// The readiness of an endpoint has failed. It is dropped, and not used again until discovery inserts it anew.
    EndpointFailed {
        /// Which it was.
        key: &'a K,
        /// Why.
        error: &'a BoxError,
    },
}
