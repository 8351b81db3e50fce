//! The least that a call costs: what tonic's `Channel` is made of without tower.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tonic::body::Body;
use tonic::transport::Endpoint;
use tower_service::Service;

/// Sends over each of some connections in turn. A clone has its own turn.
#[derive(Clone)]
pub struct Connections {
    connections: Vec<SendRequest<Body>>,
    next: usize,
    origin: http::Uri,
}

impl Connections {
    /// One to each server, set up as tonic does.
    pub async fn to(servers: &[Endpoint]) -> Self {
        let mut connections = Vec::new();
        for server in servers {
            let authority = server.uri().authority().expect("a server has an address");
            let stream = TcpStream::connect(authority.as_str()).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let connected = handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
            let (connection, driver) = connected.unwrap();
            tokio::spawn(driver);
            connections.push(connection);
        }
        Self {
            connections,
            next: 0,
            origin: servers[0].uri().clone(),
        }
    }
}

impl Service<Request<Body>> for Connections {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.connections[self.next].poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let mut uri = self.origin.clone().into_parts();
        uri.path_and_query = request.uri().path_and_query().cloned();
        *request.uri_mut() = http::Uri::from_parts(uri).unwrap();
        let response = self.connections[self.next].send_request(request);
        self.next = (self.next + 1) % self.connections.len();
        Box::pin(response)
    }
}
