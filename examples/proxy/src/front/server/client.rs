use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderValue;

/// The client of a connection. Clones refer to the same client.
#[derive(Debug, Clone)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    address: SocketAddr,
    /// Formatted once for all requests of the connection.
    ip: HeaderValue,
}

impl Client {
    /// Creates the client at `address`.
    pub fn new(address: SocketAddr) -> Self {
        let ip = address.ip().to_string();
        // An address has only characters that are valid in a field value.
        let ip = HeaderValue::try_from(ip).unwrap_or(HeaderValue::from_static("unknown"));
        Self(Arc::new(Inner { address, ip }))
    }

    /// Returns its address.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Returns its IP address as a header value.
    pub fn ip(&self) -> &HeaderValue {
        &self.0.ip
    }
}
