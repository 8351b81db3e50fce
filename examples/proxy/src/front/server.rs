//! Listeners: accepting connections, telling HTTP/1.1 from HTTP/2, and draining.

mod accept;
mod activity;
mod attended;
mod client;
mod connection;
mod interim;
mod lifetime;
mod withdraw;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tower::BoxError;

use self::activity::{Activity, Answer};
use self::attended::Attended;
pub use self::client::Client;
pub use self::connection::GivenUp;
use self::connection::{Connection, Watch};
use self::interim::Interim;
pub use self::lifetime::Times;
use self::withdraw::Withdraw;
use crate::config::{Clients, Heads};
use crate::transport::blocks::{self, Blocks, Long};
use crate::transport::descriptors::max_connections;
use crate::transport::headers;
use crate::transport::socket::{self, Reset, Socket};
use crate::transport::stall::Patient;
use crate::transport::streams::{NewStreams, Streams};

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

/// Serves connections until `shutdown` says so, then drains, with the defaults of [`Clients`].
///
/// See [`Server::serve`].
pub async fn serve<H, F, B>(listener: TcpListener, handler: H, shutdown: Shutdown, drain: Duration)
where
    H: Fn(Request<Incoming>, Client) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let server = Server::new(&Clients::default(), Heads::default());
    server
        .serve(listener, handler, shutdown, drain, |_| {})
        .await;
}

/// A connection, its client, and its place among the connections.
type Accepted = (TcpStream, SocketAddr, Option<OwnedSemaphorePermit>);

/// Serves clients on any number of listeners, which share the maximum number of connections.
#[derive(Debug, Clone)]
pub struct Server {
    clients: Clients,
    heads: Heads,
    places: Arc<Semaphore>,
}

impl Server {
    /// Treats clients as `clients` says. Over HTTP/1, heads larger than `heads` says get a 431.
    pub fn new(clients: &Clients, heads: Heads) -> Self {
        let places = clients.max_connections.unwrap_or_else(max_connections);
        Self {
            clients: clients.clone(),
            heads,
            places: Arc::new(Semaphore::new(places)),
        }
    }

    /// Serves connections until `shutdown` says so, then drains.
    ///
    /// Each connection speaks HTTP/1.1 or HTTP/2 as its first bytes tell. After `shutdown` the listener closes, and what it has
    /// accepted or queued is answered: connections with a request in flight end with its response, others after a second
    /// without one. What is left after `drain` is cut off.
    ///
    /// `failed` is told of each connection that fails: what no handler sees, since the HTTP library answers it.
    pub async fn serve<H, F, B>(
        &self,
        listener: TcpListener,
        handler: H,
        mut shutdown: Shutdown,
        drain: Duration,
        failed: impl Fn(&BoxError) + Clone + Send + 'static,
    ) where
        H: Fn(Request<Incoming>, Client) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let draining = shutdown.clone();
        let connection = |(stream, client, place): Accepted| {
            // A connection that is broken already fails when it is read.
            let _ = socket::prepare(&stream, self.clients.keep_alive_interval);
            let connection = self.connection(stream, client, handler.clone());
            let (draining, failed) = (draining.clone(), failed.clone());
            async move {
                let _place = place;
                if let Err(error) = connection.run(draining).await {
                    tracing::debug!(%client, error, "connection failed");
                    failed(&error);
                }
            }
        };
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.accept(&listener) => drop(connections.spawn(connection(accepted))),
                Some(_) = connections.join_next() => {}
                () = shutdown.requested() => break,
            }
        }
        for (stream, client) in accept::close(listener) {
            // These are answered also if they are too many.
            let place = Arc::clone(&self.places).try_acquire_owned().ok();
            connections.spawn(connection((stream, client, place)));
        }
        let ended = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(drain, ended).await.is_err() {
            tracing::warn!(?drain, "gave up on requests that are still running");
        }
    }

    fn connection<T, H, F, B>(
        &self,
        stream: T,
        client: SocketAddr,
        handler: H,
    ) -> Connection<impl GracefulConnection<Error = BoxError> + Send + use<T, H, F, B>>
    where
        T: AsyncRead + AsyncWrite + Reset + Unpin + Send + 'static,
        H: Fn(Request<Incoming>, Client) -> F + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let activity = Arc::new(Activity::default());
        let long = Long::default();
        let watch = Watch::new(
            Arc::clone(&activity),
            Blocks::new(long.clone(), self.heads.size),
        );
        let socket = Socket::new(stream, watch);
        let client = Client::new(client);
        let interim = Interim::default();
        let io = TokioIo::new(interim::Io::new(socket, interim.clone()));
        let service = {
            let activity = Arc::clone(&activity);
            service_fn(move |mut request: Request<Incoming>| {
                // Those before may not know interim answers, and in those after hyper has no way for them.
                let http11 = request.version() == Version::HTTP_11;
                let exchange = http11.then(|| interim.begin(&mut request));
                let has_body = !request.body().is_end_stream();
                if request.version() == Version::HTTP_2
                    && has_body
                    && !headers::is_grpc(request.headers())
                {
                    // gRPC requests have no trailers.
                    request.extensions_mut().insert(long.clone());
                }
                let active = activity.begin();
                let answer = handler(request, client.clone());
                let looks = exchange.clone().filter(|_| has_body);
                let answer = Attended::new(Withdraw::new(answer), looks);
                Answer::new(answer, exchange, active)
            })
        };
        let streams = Streams::default();
        let http = http_server(streams.new_streams(), &self.clients, self.heads);
        let http = http.serve_connection(io, service).into_owned();
        Connection::new(http, streams, activity, self.clients.times())
    }

    /// The next connection. At the maximum number of connections it waits in the listener's queue until another one ends.
    async fn accept(&self, listener: &TcpListener) -> Accepted {
        let place = match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => place,
            Err(_) => {
                tracing::debug!("as many connections from clients as there may be");
                // It is never closed.
                Arc::clone(&self.places)
                    .acquire_owned()
                    .await
                    .expect("open")
            }
        };
        let (stream, client) = accept::accept(listener).await;
        (stream, client, Some(place))
    }
}

fn http_server(streams: NewStreams, clients: &Clients, heads: Heads) -> auto::Builder<OwnTask> {
    let mut server = auto::Builder::new(OwnTask(streams));
    // The time of heads is the connection's own, see `Lifetime`.
    server
        .http1()
        .header_read_timeout(None)
        // hyper-util does not pass `max_header_size` on; this is the buffer that a head must fit in.
        .max_buf_size(heads.size);
    if let Some(fields) = heads.fields {
        server.http1().max_headers(fields);
    }
    server
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(clients.max_concurrent_streams)
        // So that uploads that nothing reads never keep another from being sent: the window has room for all of them.
        .initial_stream_window_size(clients.initial_stream_window_size)
        .initial_connection_window_size(
            clients
                .max_concurrent_streams
                .saturating_mul(clients.initial_stream_window_size),
        )
        .max_send_buf_size(MAX_UNSENT)
        .max_header_list_size(blocks::ROOM * heads.size as u32);
    if let Some(interval) = clients.keep_alive_interval {
        server
            .http2()
            .keep_alive_interval(interval)
            .keep_alive_timeout(interval);
    }
    server
}

/// Runs each HTTP/2 stream in the task of its connection. It ends when its client does not read; dropped, it is reset.
#[derive(Debug, Clone)]
struct OwnTask(NewStreams);

impl<F> Executor<F> for OwnTask
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, stream: F) {
        self.0.push(Patient::new(stream));
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

/// What waits to be written on a stream of HTTP/2.
const MAX_UNSENT: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll};

    use http_body::Frame;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;

    impl Reset for DuplexStream {
        fn reset(&self) {}
    }

    /// Without end, in pieces as long as they come from an upstream at most. Counts what was taken.
    struct Endless(Arc<AtomicUsize>);

    impl Body for Endless {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let chunk = Bytes::from_static(&[b'x'; 32 * 1024]);
            self.0.fetch_add(chunk.len(), Ordering::Relaxed);
            Poll::Ready(Some(Ok(Frame::data(chunk))))
        }
    }

    /// What a connection holds for a client that reads a byte, and then nothing. With one more piece on its way from an
    /// upstream of HTTP/1.1, or with the window of a stream of HTTP/2, that makes 128 KiB.
    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_costs_little() {
        let http2 = [
            &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
            // Windows without end.
            b"\0\0\x06\x04\0\0\0\0\0\0\x04\x7f\xff\xff\xff",
            b"\0\0\x04\x08\0\0\0\0\0\x7f\x00\x00\x00",
            // GET / of nowhere.
            b"\0\0\x03\x01\x05\0\0\0\x01\x82\x86\x84",
        ]
        .concat();
        for (request, most) in [
            (&b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"[..], 96 * 1024),
            (&http2, 128 * 1024),
        ] {
            let taken = Arc::new(AtomicUsize::new(0));
            let counter = Arc::clone(&taken);
            let handler = move |_request, _client| {
                let body = Endless(Arc::clone(&counter));
                async move { Response::new(body) }
            };
            let (stream, mut client) = tokio::io::duplex(64);
            let server = Server::new(&Clients::default(), Heads::default());
            let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
            let (_trigger, shutdown) = shutdown_channel();
            let connection = server.connection(stream, nowhere, handler);
            let connection = tokio::spawn(connection.run(shutdown));
            client.write_all(request).await.unwrap();
            client.read_u8().await.unwrap();
            // Paused time goes on when nothing else does.
            tokio::time::sleep(Duration::from_secs(1)).await;
            let taken = taken.load(Ordering::Relaxed);
            assert!(0 < taken && taken <= most, "{taken} bytes");
            connection.abort();
        }
    }
}
