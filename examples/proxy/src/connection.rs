//! One connection of a client: serving it, and ending it without the loss of a request.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tower::BoxError;
use tower::timeout::alarm::Alarm;

use crate::interim::{self, Interim};
use crate::server::Shutdown;

/// Serves `stream` until the client ends it, it fails, or `shutdown` is requested and it has drained.
///
/// A connection drains as follows.
///
/// - One with a request in flight is told at once that there will be no further one (`connection: close`, GOAWAY), and ends
///   with the response.
/// - One without may have sent a request that was not read yet, or is on its way. So it stays for a [`LINGER`], and a request
///   that comes is answered as above.
/// - Without a request in flight and with nothing left to send, it ends after that time: a client that sent half a head, or
///   one of HTTP/2 that does not answer, holds nothing.
pub(crate) async fn serve<H, F, B>(
    server: &auto::Builder<TokioExecutor>,
    stream: TcpStream,
    handler: H,
    mut shutdown: Shutdown,
) -> Result<(), BoxError>
where
    H: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let activity = Arc::new(Activity::default());
    let interim = Interim::default();
    let stream = Watched {
        inner: stream,
        activity: Arc::clone(&activity),
    };
    let io = TokioIo::new(interim::Io::new(stream, interim.clone()));
    let requests = Arc::clone(&activity);
    let service = service_fn(move |mut request: Request<Incoming>| {
        // Those before may not know them, and in those after hyper has no way for them.
        if request.version() == Version::HTTP_11 {
            request.extensions_mut().insert(interim.clone());
        }
        let in_flight = InFlight::new(&requests, request.version());
        let response = handler(request);
        async move {
            let response = response.await;
            Ok::<_, Infallible>(response.map(|inner| HeldBody {
                inner,
                _in_flight: in_flight,
            }))
        }
    });
    let mut connection = pin!(server.serve_connection(io, service).into_owned());

    tokio::select! {
        end = connection.as_mut() => return end,
        () = shutdown.requested() => {}
    }

    // ## Serving => Lingering
    let mut told = false;
    let mut was_busy = false;
    let mut alarm = Alarm::new(Instant::now() + LINGER);
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(end) = connection.as_mut().poll(cx) {
                return Poll::Ready(end);
            }
            // ## Lingering => Closing
            if !told && activity.is_told_at_once() {
                told = true;
                connection.as_mut().graceful_shutdown();
                continue;
            }
            was_busy |= activity.is_busy();
            if alarm.poll(cx).is_pending() {
                return Poll::Pending;
            }
            alarm.reset(Instant::now() + LINGER);
            if std::mem::take(&mut was_busy) {
                continue;
            }
            // ## Closing => gone: it had its time, and there is nothing that would be lost.
            if told {
                return Poll::Ready(Ok(()));
            }
            // Ends an HTTP/1 connection at once; over HTTP/2 it sends GOAWAY first.
            told = true;
            connection.as_mut().graceful_shutdown();
        }
    })
    .await
}

/// How long a connection without a request stays when the proxy drains, for the request that may be under way; and how long
/// one of HTTP/2 has for its part in closing.
const LINGER: Duration = Duration::from_secs(1);

/// What a connection is doing.
#[derive(Debug, Default)]
struct Activity {
    /// Requests whose response has not ended.
    in_flight: AtomicUsize,
    /// Whether bytes wait for the client to take them.
    is_writing: AtomicBool,
    is_http2: AtomicBool,
}

impl Activity {
    fn is_busy(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) > 0 || self.is_writing.load(Ordering::Relaxed)
    }

    /// Over HTTP/2 nothing is lost by a GOAWAY, so that it is sent to idle connections as well.
    fn is_told_at_once(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) > 0 || self.is_http2.load(Ordering::Relaxed)
    }
}

/// Counts a request of a connection.
#[derive(Debug)]
struct InFlight(Arc<Activity>);

impl InFlight {
    fn new(activity: &Arc<Activity>, version: Version) -> Self {
        activity.in_flight.fetch_add(1, Ordering::Relaxed);
        if version == Version::HTTP_2 {
            activity.is_http2.store(true, Ordering::Relaxed);
        }
        Self(Arc::clone(activity))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

pin_project! {
    /// A response's body, whose request is in flight until it is dropped.
    struct HeldBody<B> {
        #[pin]
        inner: B,
        _in_flight: InFlight,
    }
}

impl<B: Body> Body for HeldBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A stream that notes whether what is written waits for the peer.
#[derive(Debug)]
struct Watched {
    inner: TcpStream,
    activity: Arc<Activity>,
}

impl Watched {
    fn note<T>(&self, written: Poll<T>) -> Poll<T> {
        let waits = written.is_pending();
        self.activity.is_writing.store(waits, Ordering::Relaxed);
        written
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, bytes);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
