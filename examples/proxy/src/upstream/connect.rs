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

use super::checked::checked;
use super::error::ConnectError;
use super::{Multiplexed, Pool, UpstreamBody, UpstreamError};
use crate::body::RequestBody;
use crate::config::{Endpoint, Protocol};
use crate::framing;
use crate::interim::Exchange;
use crate::metrics::EndpointStats;

/// Makes connections to an endpoint: the maker that [`Reconnect`](tower::reconnect::Reconnect) calls again and again.
#[derive(Debug, Clone)]
pub struct Connect {
    protocol: Protocol,
    timeout: Duration,
    max_head_size: usize,
    stats: Option<Arc<EndpointStats>>,
}

impl Connect {
    /// Connects with `protocol`, within `timeout`, for responses with heads up to `max_head_size` bytes.
    pub fn new(protocol: Protocol, timeout: Duration, max_head_size: usize) -> Self {
        Self {
            protocol,
            timeout,
            max_head_size,
            stats: None,
        }
    }

    /// Tells the metrics why it cannot connect, if that is so.
    #[must_use]
    pub fn tell(mut self, stats: Arc<EndpointStats>) -> Self {
        self.stats = Some(stats);
        self
    }

    async fn open(self, endpoint: Endpoint) -> Result<Connection, UpstreamError> {
        Ok(match self.protocol {
            Protocol::Http1 => Connection::Http1(Pool::open(self, endpoint).await?),
            Protocol::Http2 => Connection::Http2(Multiplexed::open(self, endpoint).await?),
        })
    }

    pub(super) fn max_head_size(&self) -> usize {
        self.max_head_size
    }

    /// Opens a TCP connection.
    pub(super) async fn tcp(
        &self,
        endpoint: &Endpoint,
    ) -> Result<TokioIo<TcpStream>, UpstreamError> {
        let failed = |source| UpstreamError::Connect {
            endpoint: endpoint.clone(),
            source,
        };
        let connecting = TcpStream::connect((endpoint.host(), endpoint.port()));
        let stream = tokio::time::timeout(self.timeout, connecting)
            .await
            .map_err(|_| failed(ConnectError::Elapsed(self.timeout)))?
            .map_err(|error| failed(ConnectError::Tcp(error)))?;
        stream
            .set_nodelay(true)
            .map_err(|error| failed(ConnectError::Tcp(error)))?;
        Ok(TokioIo::new(stream))
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
            let opened = connect.open(endpoint).await;
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
    /// One connection of HTTP/2 for all.
    Http2(Multiplexed),
}

impl Service<Request<RequestBody>> for Connection {
    type Response = Response<UpstreamBody>;
    type Error = UpstreamError;
    type Future =
        Pin<Box<dyn Future<Output = Result<Response<UpstreamBody>, UpstreamError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        match self {
            Self::Http1(pool) => pool.poll_ready(),
            Self::Http2(connection) => connection.poll_ready(cx),
        }
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        match self {
            Self::Http1(pool) => {
                framing::frame(&mut request, Protocol::Http1);
                if let Some(exchange) = request.extensions_mut().remove::<Exchange>() {
                    hyper::ext::on_informational(&mut request, move |answer| {
                        exchange.send(answer.status(), answer.headers());
                    });
                }
                Box::pin(checked(pool.send(request)))
            }
            Self::Http2(connection) => {
                framing::frame(&mut request, Protocol::Http2);
                Box::pin(checked(connection.send(request)))
            }
        }
    }
}
