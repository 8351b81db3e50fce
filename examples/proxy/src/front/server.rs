//! Listeners: accepting connections, distinguishing HTTP/1.1 from HTTP/2, and draining.

mod accept;
mod activity;
mod client;
mod connection;
mod detect;
mod disconnect;
mod given_up;
mod interim;
mod lifetime;
mod rewind;
mod shutdown;
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
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tower::BoxError;

use self::activity::{Activity, Answer};
pub use self::client::Client;
use self::connection::{Connection, Watch};
use self::detect::{Detect, Protocol, Served};
use self::disconnect::DetectDisconnect;
pub use self::given_up::GivenUp;
use self::interim::Interim;
pub use self::lifetime::Times;
pub use self::shutdown::{Shutdown, ShutdownTrigger, shutdown_channel};
use self::withdraw::Withdraw;
use crate::config::{Clients, Heads};
use crate::transport::blocks::{self, Blocks, OversizedTrailers};
use crate::transport::descriptors::max_connections;
use crate::transport::headers;
use crate::transport::poll_clock::PollTimer;
use crate::transport::socket::{self, Reset, Socket};
use crate::transport::streams::{NewStreams, Streams};
use crate::workers::{Brought, Workers};

/// Binds `address`.
///
/// # Errors
///
/// If the address is in use or not local. The error names it.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
    })
}

/// Serves connections until `shutdown` is triggered, then drains, with the defaults of [`Clients`].
///
/// See [`Server::serve`].
pub async fn serve<H, F, B>(listener: TcpListener, handler: H, shutdown: Shutdown, drain: Duration)
where
    H: Fn(Request<Incoming>, Client) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let server = Server::new(&Clients::default(), Heads::default(), Workers::here());
    server
        .serve(listener, handler, shutdown, drain, |_| {})
        .await;
}

/// A connection, its client, and its permit under the maximum number of connections.
type Accepted = (TcpStream, SocketAddr, Option<OwnedSemaphorePermit>);

/// Serves clients on any number of listeners, which share the maximum number of connections.
#[derive(Debug, Clone)]
pub struct Server {
    clients: Clients,
    heads: Heads,
    permits: Arc<Semaphore>,
    workers: Workers,
}

impl Server {
    /// Creates a server with the limits `clients`, whose connections are served by `workers`. Over HTTP/1, request heads
    /// larger than `heads` get a 431.
    pub fn new(clients: &Clients, heads: Heads, workers: Workers) -> Self {
        let permits = clients.max_connections.unwrap_or_else(max_connections);
        Self {
            clients: clients.clone(),
            heads,
            permits: Arc::new(Semaphore::new(permits)),
            workers,
        }
    }

    /// Serves connections until `shutdown` is triggered, then drains.
    ///
    /// The first bytes of a connection decide between HTTP/1.1 and HTTP/2. After `shutdown` the listener closes, and
    /// connections that it has accepted or queued are still served: those with requests in flight close after the
    /// response, others after one second without a request. Connections that remain after `drain` are dropped.
    ///
    /// `failed` is called with the error of each connection that fails: these are requests that no handler sees, since
    /// the HTTP library responds to them.
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
        let mut connections = JoinSet::new();
        let draining = shutdown.clone();
        let spawn = |connections: &mut JoinSet<()>, (stream, client, permit): Accepted| {
            let place = self.workers.place();
            let runtime = place.runtime().clone();
            let (server, handler) = (self.clone(), handler.clone());
            let (draining, failed) = (draining.clone(), failed.clone());
            let stream = place.bring(stream);
            let connection = async move {
                let _held = (permit, place);
                let ended = match stream.and_then(Brought::here) {
                    Ok(stream) => {
                        // A connection that is already broken fails at the first read.
                        let _ = socket::prepare(&stream, server.clients.keep_alive_interval);
                        server.connection(stream, client, handler, draining).await
                    }
                    Err(error) => Err(error.into()),
                };
                if let Err(error) = ended {
                    tracing::debug!(%client, error, "connection failed");
                    failed(&error);
                }
            };
            connections.spawn_on(connection, &runtime);
        };
        loop {
            tokio::select! {
                accepted = self.accept(&listener) => spawn(&mut connections, accepted),
                Some(_) = connections.join_next() => {}
                () = shutdown.requested() => break,
            }
        }
        for (stream, client) in accept::close(listener) {
            // These are served even beyond the maximum.
            let permit = Arc::clone(&self.permits).try_acquire_owned().ok();
            spawn(&mut connections, (stream, client, permit));
        }
        let ended = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(drain, ended).await.is_err() {
            tracing::warn!(
                ?drain,
                "drain time is over, dropping requests that are still in flight"
            );
        }
    }

    fn connection<T, H, F, B>(
        &self,
        stream: T,
        client: SocketAddr,
        handler: H,
        shutdown: Shutdown,
    ) -> Connection<interim::Io<Socket<T, Watch>>>
    where
        T: AsyncRead + AsyncWrite + Reset + Unpin + Send + 'static,
        H: Fn(Request<Incoming>, Client) -> F + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let activity = Arc::new(Activity::default());
        let long = OversizedTrailers::default();
        let watch = Watch::new(
            Arc::clone(&activity),
            Blocks::new(long.clone(), self.heads.size),
            self.heads.size,
        );
        let socket = Socket::new(stream, watch);
        let client = Client::new(client);
        let interim = Interim::default();
        let io = interim::Io::new(socket, interim.clone());
        let service = {
            let activity = Arc::clone(&activity);
            service_fn(move |mut request: Request<Incoming>| {
                // HTTP/1.0 clients may not know interim responses, and hyper cannot send them over HTTP/2.
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
                let checks = exchange.clone().filter(|_| has_body);
                let answer = DetectDisconnect::new(Withdraw::new(answer), checks);
                Answer::new(answer, exchange, active)
            })
        };
        let streams = Streams::default();
        let executor = ConnectionExecutor(streams.new_streams());
        let (http1, http2) = (self.http1(), self.http2(executor));
        let begun = Arc::clone(&activity);
        let begin = move |protocol, io| -> Served {
            let io = TokioIo::new(io);
            match protocol {
                Protocol::Http1 => Box::pin(http1.serve_connection(io, service)),
                Protocol::Http2 => {
                    begun.is_http2();
                    Box::pin(http2.serve_connection(io, service))
                }
            }
        };
        let inner = Detect::new(io, begin);
        Connection::new(inner, streams, activity, self.clients.times(), shutdown)
    }

    /// Accepts the next connection. At the maximum number of connections, further ones wait in the listener's queue
    /// until another one ends.
    async fn accept(&self, listener: &TcpListener) -> Accepted {
        let permit = match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                tracing::debug!("maximum number of client connections reached");
                // The semaphore is never closed.
                Arc::clone(&self.permits)
                    .acquire_owned()
                    .await
                    .expect("open")
            }
        };
        let (stream, client) = accept::accept(listener).await;
        (stream, client, Some(permit))
    }

    fn http1(&self) -> http1::Builder {
        let mut server = http1::Builder::new();
        // `Lifetime` enforces the header timeout of the connection.
        server
            .header_read_timeout(None)
            // A head must fit in the read buffer, and this is also the size of the write buffer.
            .max_buf_size(self.heads.size);
        if let Some(fields) = self.heads.fields {
            server.max_headers(fields);
        }
        server
    }

    fn http2(&self, executor: ConnectionExecutor) -> http2::Builder<ConnectionExecutor> {
        let clients = &self.clients;
        let mut server = http2::Builder::new(executor);
        server
            .timer(PollTimer)
            .max_concurrent_streams(clients.max_concurrent_streams)
            // The connection window has room for all streams, so that uploads that are not read never block the others.
            .initial_stream_window_size(clients.initial_stream_window_size)
            .initial_connection_window_size(
                clients
                    .max_concurrent_streams
                    .saturating_mul(clients.initial_stream_window_size),
            )
            .max_send_buf_size(MAX_UNSENT)
            .max_header_list_size(blocks::ROOM * self.heads.size as u32);
        if let Some(interval) = clients.keep_alive_interval {
            server
                .keep_alive_interval(interval)
                .keep_alive_timeout(interval);
        }
        server
    }
}

/// Runs each HTTP/2 stream in the task of its connection.
#[derive(Debug, Clone)]
struct ConnectionExecutor(NewStreams);

impl<F> Executor<F> for ConnectionExecutor
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, stream: F) {
        self.0.push(stream);
    }
}

/// The size in bytes of the write buffer of an HTTP/2 stream.
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

    /// An endless body, in frames of 32 KiB. Counts the bytes taken.
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

    /// Checks what a connection buffers for a client that reads one byte and then nothing: over HTTP/1.1 less than 64 KiB
    /// and one more frame. Together with another frame in flight, and with the 64 KiB that an HTTP/1.1 upstream sends at
    /// most in a frame, that makes 192 KiB.
    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_uses_little_memory() {
        let http2 = [
            &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
            // SETTINGS with the largest window.
            b"\0\0\x06\x04\0\0\0\0\0\0\x04\x7f\xff\xff\xff",
            b"\0\0\x04\x08\0\0\0\0\0\x7f\x00\x00\x00",
            // HEADERS: GET / without an authority.
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
            let server = Server::new(&Clients::default(), Heads::default(), Workers::here());
            let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
            let (_trigger, shutdown) = shutdown_channel();
            let connection = server.connection(stream, nowhere, handler, shutdown);
            let connection = tokio::spawn(connection);
            client.write_all(request).await.unwrap();
            client.read_u8().await.unwrap();
            // Paused time advances only when everything else is idle.
            tokio::time::sleep(Duration::from_secs(1)).await;
            let taken = taken.load(Ordering::Relaxed);
            assert!(0 < taken && taken <= most, "{taken} bytes");
            connection.abort();
        }
    }
}
