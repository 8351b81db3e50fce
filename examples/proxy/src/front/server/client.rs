use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderValue;

/// Who sends requests on a connection. Clones are the same.
#[derive(Debug, Clone)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    address: SocketAddr,
    /// Written once for all requests of the connection.
    ip: HeaderValue,
}

impl Client {
    /// The client at `address`.
    pub fn new(address: SocketAddr) -> Self {
        let ip = address.ip().to_string();
        // An address has nothing that a field may not have.
        let ip = HeaderValue::try_from(ip).unwrap_or(HeaderValue::from_static("unknown"));
        Self(Arc::new(Inner { address, ip }))
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Its IP address, for a header field.
    pub fn ip(&self) -> &HeaderValue {
        &self.0.ip
    }
}
