use std::future::Future;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::UpstreamError;
use super::error::ConnectError;
use crate::config::{Cluster, Connections, Endpoint, Heads, Protocol};
use crate::transport::descriptors;
use crate::transport::socket::{self, Observe, Socket};

/// Opens connections to the endpoints of a cluster, up to a maximum.
#[derive(Debug, Clone)]
pub struct Connector {
    pub(super) protocol: Protocol,
    pub(super) timeout: Duration,
    pub(super) connections: Connections,
    /// The maximum number of connections to an endpoint.
    pub(super) max: usize,
    pub(super) heads: Heads,
}

impl Connector {
    /// Creates a connector as `cluster` says. If it sets no maximum number of connections, each of the proxy's
    /// `endpoints` gets its share of the open files. Heads of responses are limited to `heads`.
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

    /// Opens a TCP connection and starts HTTP on it by `begin`, within the connect timeout for both.
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

/// The default maximum number of HTTP/1.1 connections to an endpoint.
const MOST_HTTP1: usize = 1024;
/// The default maximum number of HTTP/2 connections, each of which is for many requests.
const MOST_HTTP2: usize = 32;
