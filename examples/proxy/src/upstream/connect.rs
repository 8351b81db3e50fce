use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower::Service;
use tower::classify::causes;

use super::{Connector, Multiplexed, Payload, Pool, UpstreamBody, UpstreamError};
use crate::config::{Endpoint, Protocol};
use crate::transport::framing;

/// Makes connections to an endpoint, for requests with a body `B`: the service that
/// [`Reconnect`](tower::reconnect::Reconnect) calls for each connection.
pub struct Connect<B> {
    connector: Connector,
    on_result: Option<OnResult>,
    _body: PhantomData<fn(B)>,
}

/// Called with the reason why connecting failed, or `None` if it succeeded.
type OnResult = Arc<dyn Fn(Option<String>) + Send + Sync>;

impl<B> Connect<B> {
    /// Creates a maker of connections through `connector`.
    pub const fn new(connector: Connector) -> Self {
        Self {
            connector,
            on_result: None,
            _body: PhantomData,
        }
    }

    /// Calls `on_result` after each attempt to connect, with the error and its causes if it failed.
    #[must_use]
    pub fn on_result(self, on_result: impl Fn(Option<String>) + Send + Sync + 'static) -> Self {
        let on_result: OnResult = Arc::new(on_result);
        Self {
            on_result: Some(on_result),
            ..self
        }
    }
}

impl<B: Payload> Service<Endpoint> for Connect<B> {
    type Response = Connection<B>;
    type Error = UpstreamError;
    type Future = Pin<Box<dyn Future<Output = Result<Connection<B>, UpstreamError>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, endpoint: Endpoint) -> Self::Future {
        let (connector, on_result) = (self.connector.clone(), self.on_result.clone());
        Box::pin(async move {
            let opened = Connection::open(connector, endpoint).await;
            if let Some(on_result) = on_result {
                on_result(opened.as_ref().err().map(describe));
            }
            opened
        })
    }
}

impl<B> Clone for Connect<B> {
    fn clone(&self) -> Self {
        Self {
            connector: self.connector.clone(),
            on_result: self.on_result.clone(),
            _body: PhantomData,
        }
    }
}

impl<B> fmt::Debug for Connect<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("connector", &self.connector)
            .finish_non_exhaustive()
    }
}

/// Formats an error with its causes.
fn describe(error: &UpstreamError) -> String {
    let texts: Vec<_> = causes(error).map(ToString::to_string).collect();
    texts.join(": ")
}

/// The connections to an endpoint, which take requests until they fail.
#[derive(Debug)]
pub enum Connection<B> {
    /// HTTP/1.1 connections, each for one request at a time.
    Http1(Pool<B>),
    /// HTTP/2 connections, each for many requests at a time.
    Http2(Multiplexed<B>),
}

impl<B: Payload> Connection<B> {
    async fn open(connector: Connector, endpoint: Endpoint) -> Result<Self, UpstreamError> {
        Ok(match connector.protocol {
            Protocol::Http1 => Self::Http1(Pool::open(connector, endpoint).await?),
            Protocol::Http2 => Self::Http2(Multiplexed::open(connector, endpoint).await?),
        })
    }
}

impl<B: Payload> Service<Request<B>> for Connection<B> {
    type Response = Response<UpstreamBody<B>>;
    type Error = UpstreamError;
    type Future =
        Pin<Box<dyn Future<Output = Result<Response<UpstreamBody<B>>, UpstreamError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        match self {
            Self::Http1(pool) => pool.poll_ready(cx),
            Self::Http2(connections) => connections.poll_ready(cx),
        }
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
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
