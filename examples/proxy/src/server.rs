//! Listeners: accepting connections, telling HTTP/1.1 from HTTP/2, and draining.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tower::BoxError;

use crate::interim::{self, Interim};

/// Binds `address`; the error names it.
///
/// # Errors
///
/// If the address is taken, or not one of this machine's.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
    })
}

/// Serves connections until `shutdown` says so, then drains, with the default for the heads of requests.
///
/// See [`serve_heads`].
pub async fn serve<H, F, B>(listener: TcpListener, handler: H, shutdown: Shutdown, drain: Duration)
where
    H: Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    serve_heads(listener, handler, shutdown, drain, MAX_HEAD_SIZE).await;
}

/// Serves connections until `shutdown` says so, then drains. Over HTTP/1, heads of more than `max_head_size` bytes get a 431.
///
/// Each connection speaks HTTP/1.1 or HTTP/2 as its first bytes tell. After `shutdown` no connection is accepted, idle
/// ones close at once, and busy ones when their running requests are answered, or after `drain` at the latest.
pub async fn serve_heads<H, F, B>(
    listener: TcpListener,
    handler: H,
    mut shutdown: Shutdown,
    drain: Duration,
    max_head_size: usize,
) where
    H: Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let server = Arc::new(http_server(max_head_size));
    let connections = GracefulShutdown::new();
    loop {
        let (stream, client) = tokio::select! {
            accepted = accept(&listener) => accepted,
            () = shutdown.requested() => break,
        };
        let handler = handler.clone();
        let interim = Interim::default();
        let io = TokioIo::new(interim::Io::new(stream, interim.clone()));
        let service = service_fn(move |mut request: Request<Incoming>| {
            // Those before may not know them, and in those after hyper has no way for them.
            if request.version() == Version::HTTP_11 {
                request.extensions_mut().insert(interim.clone());
            }
            let response = handler(request, client);
            async move { Ok::<_, Infallible>(response.await) }
        });
        let connection = server.serve_connection(io, service).into_owned();
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%client, error, "connection failed");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(drain, connections.shutdown())
        .await
        .is_err()
    {
        tracing::warn!(?drain, "gave up on requests that are still running");
    }
}

fn http_server(max_head_size: usize) -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_TIMEOUT)
        // hyper-util does not pass `max_header_size` on; this is the buffer that a head must fit in.
        .max_buf_size(max_head_size);
    server
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
        .max_header_list_size(HEAD_ROOM * max_head_size as u32)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE);
    server
}

/// The next connection. Failures to accept are of the moment (a client that gave up, no more file descriptors): they
/// are logged, and tried again a little later.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, client)) => {
                // Without it a response's last, small packet may wait for an acknowledgement.
                let _ = stream.set_nodelay(true);
                return (stream, client);
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Tells servers to stop; see [`shutdown_channel`].
#[derive(Debug)]
pub struct ShutdownTrigger(watch::Sender<bool>);

/// Learns when to stop.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Receiver<bool>);

/// A way to stop any number of servers at once.
pub fn shutdown_channel() -> (ShutdownTrigger, Shutdown) {
    let (sender, receiver) = watch::channel(false);
    (ShutdownTrigger(sender), Shutdown(receiver))
}

impl ShutdownTrigger {
    /// Asks all to stop.
    pub fn trigger(&self) {
        self.0.send_replace(true);
    }
}

impl Shutdown {
    /// Waits until it is time to stop; a dropped [`ShutdownTrigger`] counts as that.
    pub async fn requested(&mut self) {
        let _ = self.0.wait_for(|stop| *stop).await;
    }

    /// Whether it is time to stop.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }
}

/// A client must send the head of a request within this time.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a head may be where nobody says.
const MAX_HEAD_SIZE: usize = 64 * 1024;
/// Of trailers over its limit h2 drops fields without a word, so it gets a higher one; what is over the right one is refused
/// by who handles the request.
const HEAD_ROOM: u32 = 2;
/// Requests at a time on one HTTP/2 connection.
const MAX_CONCURRENT_STREAMS: u32 = 256;
/// A ping after so long without a frame, and so long for its answer, finds a client that went away silently.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// How long to wait after a failure to accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
