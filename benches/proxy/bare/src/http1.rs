//! hyper's server, and hyper-util's legacy client with its connection pool.

use std::io;
use std::net::SocketAddr;

use hyper::body::Incoming;
use hyper::http::uri::{Authority, PathAndQuery, Scheme, Uri};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

type Upstream = Client<HttpConnector, Incoming>;

/// Forwards every request to `backend`.
pub(crate) async fn run(listener: TcpListener, backend: SocketAddr) -> io::Result<()> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new()).build(connector);
    let authority: Authority = backend
        .to_string()
        .parse()
        .expect("an address is an authority");
    loop {
        let stream = crate::accept(&listener).await?;
        let (client, authority) = (client.clone(), authority.clone());
        let forward =
            service_fn(move |request| forward(client.clone(), authority.clone(), request));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), forward);
        tokio::spawn(connection);
    }
}

async fn forward(
    client: Upstream,
    authority: Authority,
    mut request: Request<Incoming>,
) -> Result<Response<Incoming>, hyper_util::client::legacy::Error> {
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = Uri::builder()
        .scheme(Scheme::HTTP)
        .authority(authority)
        .path_and_query(path.unwrap_or_else(|| PathAndQuery::from_static("/")))
        .build()
        .expect("all parts are valid");
    client.request(request).await
}
