//! HTTP/1.1 without a separate task for the upstream connection: the difference from `http1` is the cost of the hop between
//! two tasks.
//!
//! Each client connection has one upstream connection, which is polled together with its request or its response's body. It
//! is not polled between requests, so the next request fails if the backend has closed it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{Connection, SendRequest, handshake};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

/// An upstream connection: both halves of hyper's client.
struct Upstream {
    sender: RefCell<SendRequest<Incoming>>,
    connection: RefCell<Connection<TokioIo<TcpStream>, Incoming>>,
}

impl Upstream {
    async fn connect(backend: SocketAddr) -> Result<Self, Box<dyn std::error::Error>> {
        let stream = TcpStream::connect(backend).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        let (sender, connection) = (RefCell::new(sender), RefCell::new(connection));
        Ok(Self { sender, connection })
    }

    /// Polls the connection. If it ends, the request or body that waits for it returns the error.
    fn drive(&self, cx: &mut Context<'_>) {
        let _ = Pin::new(&mut *self.connection.borrow_mut()).poll(cx);
    }
}

/// Forwards every request to `backend`.
pub(crate) async fn run(listener: TcpListener, backend: SocketAddr) -> io::Result<()> {
    loop {
        let stream = crate::accept(&listener).await?;
        tokio::task::spawn_local(async move {
            let Ok(upstream) = Upstream::connect(backend).await else {
                return;
            };
            let upstream = Rc::new(upstream);
            let forward = service_fn(move |request| forward(Rc::clone(&upstream), request));
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), forward)
                .await;
        });
    }
}

async fn forward(
    upstream: Rc<Upstream>,
    request: Request<Incoming>,
) -> hyper::Result<Response<InPlace>> {
    poll_fn(|cx| {
        upstream.drive(cx);
        upstream.sender.borrow_mut().poll_ready(cx)
    })
    .await?;
    let response = upstream.sender.borrow_mut().send_request(request);
    let mut response = pin!(response);
    let response = poll_fn(|cx| {
        upstream.drive(cx);
        response.as_mut().poll(cx)
    })
    .await?;
    Ok(response.map(|inner| InPlace { inner, upstream }))
}

/// A response body that polls its connection.
struct InPlace {
    inner: Incoming,
    upstream: Rc<Upstream>,
}

impl Body for InPlace {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        // The body first: polling it signals demand, and only then does the connection read.
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        if polled.is_ready() {
            return polled;
        }
        self.upstream.drive(cx);
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
