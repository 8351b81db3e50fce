//! HTTP/2 on both sides: one upstream connection per client connection, all on one thread.

use std::io;
use std::net::SocketAddr;

use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::http::uri::{Authority, Scheme};
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper::{Request, server};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

/// Spawns tasks on the current thread.
#[derive(Clone)]
pub(crate) struct Local;

impl<F: Future<Output: 'static> + 'static> Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// Forwards every request to `backend`.
pub(crate) async fn run(listener: TcpListener, backend: SocketAddr) -> io::Result<()> {
    let authority: Authority = backend
        .to_string()
        .parse()
        .expect("an address is an authority");
    loop {
        let stream = crate::accept(&listener).await?;
        let authority = authority.clone();
        tokio::task::spawn_local(async move {
            let Ok(upstream) = connect(backend).await else {
                return;
            };
            let forward = service_fn(move |request| {
                let request = addressed(request, authority.clone());
                upstream.clone().send_request(request)
            });
            let _ = server::conn::http2::Builder::new(Local)
                .serve_connection(TokioIo::new(stream), forward)
                .await;
        });
    }
}

async fn connect(backend: SocketAddr) -> Result<SendRequest<Incoming>, Box<dyn std::error::Error>> {
    let stream = TcpStream::connect(backend).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(Local, TokioIo::new(stream)).await?;
    tokio::task::spawn_local(connection);
    Ok(sender)
}

fn addressed(mut request: Request<Incoming>, authority: Authority) -> Request<Incoming> {
    let mut parts = request.uri().clone().into_parts();
    (parts.scheme, parts.authority) = (Some(Scheme::HTTP), Some(authority));
    *request.uri_mut() = parts.try_into().expect("all parts are valid");
    request
}
