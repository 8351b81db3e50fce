use std::error::Error as _;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::Service;

use super::error::ConnectError;
use super::{Multiplexed, Pool, UpstreamBody, UpstreamError};
use crate::config::{Cluster, Connections, Endpoint, Heads, Protocol};
use crate::front::body::RequestBody;
use crate::metrics::EndpointStats;
use crate::transport::descriptors;
use crate::transport::framing;
use crate::transport::socket::{self, Observe, Socket};

/// Makes connections to an endpoint: the maker that [`Reconnect`](tower::reconnect::Reconnect) calls again and again.
#[derive(Debug, Clone)]
pub struct Connect {
    protocol: Protocol,
    pub(super) timeout: Duration,
    pub(super) connections: Connections,
    /// How many connections an endpoint may have.
    pub(super) max: usize,
    pub(super) heads: Heads,
    stats: Option<Arc<EndpointStats>>,
}

impl Connect {
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
            stats: None,
        }
    }

    /// Tells the metrics why it cannot connect, if that is so.
    #[must_use]
    pub fn tell(mut self, stats: Arc<EndpointStats>) -> Self {
        self.stats = Some(stats);
        self
    }

    async fn connect(self, endpoint: Endpoint) -> Result<Connection, UpstreamError> {
        Ok(match self.protocol {
            Protocol::Http1 => Connection::Http1(Pool::open(self, endpoint).await?),
            Protocol::Http2 => Connection::Http2(Multiplexed::open(self, endpoint).await?),
        })
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

impl Service<Endpoint> for Connect {
    type Response = Connection;
    type Error = UpstreamError;
    type Future = Pin<Box<dyn Future<Output = Result<Connection, UpstreamError>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, endpoint: Endpoint) -> Self::Future {
        let connect = self.clone();
        Box::pin(async move {
            let stats = connect.stats.clone();
            let opened = connect.connect(endpoint).await;
            if let Some(stats) = stats {
                stats.set_last_error(opened.as_ref().err().map(describe));
            }
            opened
        })
    }
}

/// An error with its causes.
fn describe(error: &UpstreamError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// What is connected to an endpoint, and takes requests until it breaks.
#[derive(Debug)]
pub enum Connection {
    /// Connections of HTTP/1.1, each for one request at a time.
    Http1(Pool),
    /// Connections of HTTP/2, each for many.
    Http2(Multiplexed),
}

impl Service<Request<RequestBody>> for Connection {
    type Response = Response<UpstreamBody>;
    type Error = UpstreamError;
    type Future =
        Pin<Box<dyn Future<Output = Result<Response<UpstreamBody>, UpstreamError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        match self {
            Self::Http1(pool) => pool.poll_ready(cx),
            Self::Http2(connections) => connections.poll_ready(cx),
        }
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        match self {
            Self::Http1(pool) => {
                framing::frame(&mut request, Protocol::Http1);
                Box::pin(pool.send(request))
            }
            Self::Http2(connections) => {
                framing::frame(&mut request, Protocol::Http2);
                Box::pin(connections.send(request))
            }
        }
    }
}

/// How many connections of HTTP/1.1 an endpoint has at most by default.
const MOST_HTTP1: usize = 1024;
/// The same of HTTP/2, where each is for many requests.
const MOST_HTTP2: usize = 32;
