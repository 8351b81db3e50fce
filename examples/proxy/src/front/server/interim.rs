//! What bypasses hyper between an HTTP/1.1 request and its connection: interim responses (1xx) to the client, and
//! checking whether the client is still connected.
//!
//! hyper's client reports interim responses, but its server cannot send any. So they are written below it: between two
//! flushes of hyper, when all it has written belongs to earlier responses, and while the handler holds the response
//! back.
//!
//! hyper notices that a client has disconnected when it reads, and it does not read while the client's upload is not
//! consumed. So the connection checks when a request asks for it.

use std::io::{self, IoSlice, Write};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker, ready};

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Request, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::lock::lock;
use crate::transport::headers::strip_hop_by_hop;
use crate::transport::socket::Reset;

/// The queue of interim responses that the connection writes.
#[derive(Debug, Clone, Default)]
pub(super) struct Interim(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    /// The request that may add to it; the others have their responses.
    current: Option<u64>,
    begun: u64,
    /// Whether to check that the client is still connected.
    check: bool,
    /// The task of the connection, once it has flushed.
    connection: Option<Waker>,
    /// The handler, while it waits until everything is written.
    handler: Option<Waker>,
}

/// The access of one request to the [`Interim`] of its connection.
#[derive(Debug, Clone)]
pub(super) struct Exchange {
    interim: Interim,
    number: u64,
}

/// A client's connection that writes queued interim responses when it is flushed.
#[derive(Debug)]
pub(super) struct Io<T> {
    inner: T,
    interim: Interim,
}

impl Interim {
    /// Opens the queue for the next request, and stores in its extensions the callback by which an HTTP/1.1 upstream
    /// reports interim responses.
    pub(super) fn begin<B>(&self, request: &mut Request<B>) -> Exchange {
        let exchange = self.next();
        let teller = exchange.clone();
        hyper::ext::on_informational(request, move |answer| {
            teller.send(answer.status(), answer.headers());
        });
        exchange
    }

    fn next(&self) -> Exchange {
        let mut state = self.lock();
        state.begun += 1;
        state.current = Some(state.begun);
        Exchange {
            interim: self.clone(),
            number: state.begun,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

impl Exchange {
    /// Queues an interim response to be written. Drops it if the proxy sends its own or never forwards it, if the
    /// request has its response already, or if the client has not read earlier ones.
    pub(super) fn send(&self, status: StatusCode, headers: &HeaderMap) {
        if matches!(
            status,
            StatusCode::CONTINUE | StatusCode::SWITCHING_PROTOCOLS
        ) {
            return;
        }
        let answer = encode(status, headers);
        let mut state = self.interim.lock();
        if state.current == Some(self.number) && state.waiting.len() + answer.len() <= MAX_WAITING {
            state.waiting.extend_from_slice(&answer);
            let connection = state.connection.take();
            drop(state);
            if let Some(connection) = connection {
                connection.wake();
            }
        }
    }

    /// Makes the connection check whether its client has disconnected, and close if it has.
    pub(super) fn check(&self) {
        let mut state = self.interim.lock();
        state.check = true;
        let connection = state.connection.take();
        drop(state);
        if let Some(connection) = connection {
            connection.wake();
        }
    }

    /// Closes the queue, and is ready once everything is written: then the final response may follow.
    pub(super) fn poll_finish(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.interim.lock();
        state.current = None;
        if state.waiting.is_empty() {
            return Poll::Ready(());
        }
        state.handler = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl<T> Io<T> {
    /// Wraps `inner`, writing what is queued in `interim`.
    pub(super) fn new(inner: T, interim: Interim) -> Self {
        Self { inner, interim }
    }
}

impl<T: AsyncWrite + Reset + Unpin> Io<T> {
    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.interim.lock();
        if std::mem::take(&mut state.check) && self.inner.is_left() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        while !state.waiting.is_empty() {
            let written = ready!(Pin::new(&mut self.inner).poll_write(cx, &state.waiting))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            state.waiting.drain(..written);
        }
        if !state
            .connection
            .as_ref()
            .is_some_and(|waker| waker.will_wake(cx.waker()))
        {
            state.connection = Some(cx.waker().clone());
        }
        let handler = state.handler.take();
        drop(state);
        if let Some(handler) = handler {
            handler.wake();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Io<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Reset + Unpin> AsyncWrite for Io<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_interim(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

fn encode(status: StatusCode, headers: &HeaderMap) -> Vec<u8> {
    let mut headers = headers.clone();
    strip_hop_by_hop(&mut headers);
    headers.remove(CONTENT_LENGTH);
    let mut answer = Vec::with_capacity(256);
    let reason = status.canonical_reason().unwrap_or_default();
    // Writing to memory cannot fail.
    let _ = write!(answer, "HTTP/1.1 {} {reason}\r\n", status.as_str());
    for (name, value) in &headers {
        answer.extend_from_slice(name.as_str().as_bytes());
        answer.extend_from_slice(b": ");
        answer.extend_from_slice(value.as_bytes());
        answer.extend_from_slice(b"\r\n");
    }
    answer.extend_from_slice(b"\r\n");
    answer
}

/// The size in bytes of what is queued for a client that does not read. More is dropped, as interim responses are
/// optional.
const MAX_WAITING: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use http::HeaderValue;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn hints(length: usize) -> HeaderMap {
        let value = HeaderValue::try_from("x".repeat(length)).unwrap();
        HeaderMap::from_iter([(http::header::LINK, value)])
    }

    #[tokio::test]
    async fn a_request_with_a_final_response_sends_no_more() {
        let interim = Interim::default();
        let first = interim.next();
        poll_fn(|cx| first.poll_finish(cx)).await;
        first.send(StatusCode::EARLY_HINTS, &hints(1));
        let second = interim.next();
        first.send(StatusCode::EARLY_HINTS, &hints(1));
        assert!(interim.lock().waiting.is_empty());
        second.send(StatusCode::CONTINUE, &hints(1));
        assert!(interim.lock().waiting.is_empty());
        second.send(StatusCode::EARLY_HINTS, &hints(1));
        assert!(!interim.lock().waiting.is_empty());
    }

    #[tokio::test]
    async fn the_queue_is_bounded() {
        let interim = Interim::default();
        let exchange = interim.next();
        for _ in 0..1000 {
            exchange.send(StatusCode::EARLY_HINTS, &hints(100));
        }
        assert!((8_000..=MAX_WAITING).contains(&interim.lock().waiting.len()));
    }

    /// Runs both in one task, as hyper does.
    #[tokio::test]
    async fn the_final_response_waits_for_the_interim_responses() {
        let (client, mut far) = tokio::io::duplex(16);
        let interim = Interim::default();
        let mut io = Io::new(client, interim.clone());
        let exchange = interim.next();
        exchange.send(StatusCode::EARLY_HINTS, &hints(100));
        let answer = async {
            tokio::join!(poll_fn(|cx| exchange.poll_finish(cx)), async {
                io.flush().await.unwrap()
            });
            drop(io);
        };
        let read = async {
            let mut text = String::new();
            far.read_to_string(&mut text).await.unwrap();
            text
        };
        let ((), text) = tokio::join!(answer, read);
        assert_eq!(
            text,
            format!(
                "HTTP/1.1 103 Early Hints\r\nlink: {}\r\n\r\n",
                "x".repeat(100)
            )
        );
    }
}
