use std::future::Future;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::UpstreamError;
use super::error::ConnectError;
use crate::config::{Cluster, Connections, Endpoint, Heads, Protocol};
use crate::transport::descriptors;
use crate::transport::socket::{self, Observe, Socket};

/// How connections to the endpoints of a cluster are opened, and how many.
#[derive(Debug, Clone)]
pub struct Connector {
    pub(super) protocol: Protocol,
    pub(super) timeout: Duration,
    pub(super) connections: Connections,
    /// How many connections an endpoint may have.
    pub(super) max: usize,
    pub(super) heads: Heads,
}

impl Connector {
    /// Connects as `cluster` says. If it does not say how many connections there may be, each of `endpoints`, which are all
    /// that the proxy has, gets its share of the open files. The heads of responses may be as large as `heads` says.
    pub fn new(cluster: &Cluster, endpoints: usize, heads: Heads) -> Self {
        let most = match cluster.protocol {
            Protocol::Http1 => MOST_HTTP1,
            Protocol::Http2 => MOST_HTTP2,
        };
        let share = || descriptors::max_connections_of_each(endpoints, most);
        Self {
            protocol: cluster.protocol,
            timeout: cluster.connect_timeout,
            connections: cluster.connections.clone(),
            max: cluster.connections.max_connections.unwrap_or_else(share),
            heads,
        }
    }

    /// Opens a TCP connection, and begins HTTP on it as `begin` does, within the time for both.
    pub(super) async fn open<T, O, F, R>(
        &self,
        endpoint: &Endpoint,
        observer: O,
        begin: F,
    ) -> Result<T, UpstreamError>
    where
        O: Observe,
        F: FnOnce(TokioIo<Socket<TcpStream, O>>) -> R,
        R: Future<Output = Result<T, ConnectError>>,
    {
        let opening = async {
            let address = (endpoint.host(), endpoint.port());
            let stream = TcpStream::connect(address)
                .await
                .map_err(ConnectError::Tcp)?;
            socket::prepare(&stream, self.connections.keep_alive_interval)
                .map_err(ConnectError::Tcp)?;
            begin(TokioIo::new(Socket::new(stream, observer))).await
        };
        tokio::time::timeout(self.timeout, opening)
            .await
            .unwrap_or(Err(ConnectError::Elapsed(self.timeout)))
            .map_err(|source| UpstreamError::Connect {
                endpoint: endpoint.clone(),
                source,
            })
    }
}

/// How many connections of HTTP/1.1 an endpoint has at most by default.
const MOST_HTTP1: usize = 1024;
/// The same of HTTP/2, where each is for many requests.
const MOST_HTTP2: usize = 32;
