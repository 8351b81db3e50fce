//! Listeners: accepting connections, telling HTTP/1.1 from HTTP/2, and draining.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::BoxError;

use crate::withdraw::Withdraw;
use crate::{accept, connection};

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
/// See [`Serving::serve`].
pub async fn serve<H, F, B>(listener: TcpListener, handler: H, shutdown: Shutdown, drain: Duration)
where
    H: Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let serving = Serving {
        drain,
        max_head_size: MAX_HEAD_SIZE,
    };
    serving.serve(listener, handler, shutdown, |_| {}).await;
}

/// How connections are served.
#[derive(Debug, Clone, Copy)]
pub struct Serving {
    /// How long running requests may take after the shutdown.
    pub drain: Duration,
    /// Over HTTP/1, heads of more bytes get a 431.
    pub max_head_size: usize,
}

impl Serving {
    /// Serves connections until `shutdown` says so, then drains.
    ///
    /// Each connection speaks HTTP/1.1 or HTTP/2 as its first bytes tell. After `shutdown` the listener closes, and what it has
    /// accepted or queued is answered: connections with a request in flight end with its response, others after a second
    /// without one. What is left after the time for draining is cut off.
    ///
    /// `failed` is told of each connection that fails: what no handler sees, since the HTTP library answers it.
    pub async fn serve<H, F, B>(
        self,
        listener: TcpListener,
        handler: H,
        mut shutdown: Shutdown,
        failed: impl Fn(&BoxError) + Clone + Send + 'static,
    ) where
        H: Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let server = Arc::new(http_server(self.max_head_size));
        let stop = shutdown.clone();
        let connection = move |(stream, client): (TcpStream, SocketAddr)| {
            let (server, stop, failed) = (Arc::clone(&server), stop.clone(), failed.clone());
            let handler = handler.clone();
            async move {
                let handler = move |request| Withdraw::new(handler(request, client));
                if let Err(error) = connection::serve(&server, stream, handler, stop).await {
                    tracing::debug!(%client, error, "connection failed");
                    failed(&error);
                }
            }
        };
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = accept::accept(&listener) => drop(connections.spawn(connection(accepted))),
                Some(_) = connections.join_next() => {}
                () = shutdown.requested() => break,
            }
        }
        for queued in accept::close(listener) {
            connections.spawn(connection(queued));
        }
        let ended = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(self.drain, ended).await.is_err() {
            tracing::warn!(drain = ?self.drain, "gave up on requests that are still running");
        }
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
