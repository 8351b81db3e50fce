//! What goes by hyper between a request of HTTP/1.1 and its connection: interim answers (1xx) on their way to the client, and
//! the question whether the client is still there.
//!
//! hyper's client tells of them, but its server sends none. So they are written below it: between two flushes of hyper's,
//! when all that it has written is of answers before this one, and while the handler holds the answer back.
//!
//! hyper notices that a client has left when it reads, which it does not while nothing takes what the client uploads. So the
//! connection looks when a request asks it to.

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

/// What interim answers wait in until the connection writes them.
#[derive(Debug, Clone, Default)]
pub(super) struct Interim(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    /// Which request may add to it; others have their answer.
    current: Option<u64>,
    begun: u64,
    /// Whether to look if the client has left.
    look: bool,
    /// The task of the connection, when it has flushed.
    connection: Option<Waker>,
    /// The handler, when it waits until all is written.
    handler: Option<Waker>,
}

/// The part of one request in the [`Interim`] of its connection.
#[derive(Debug, Clone)]
pub(super) struct Exchange {
    interim: Interim,
    number: u64,
}

/// A client's connection that writes interim answers when it is flushed.
#[derive(Debug)]
pub(super) struct Io<T> {
    inner: T,
    interim: Interim,
}

impl Interim {
    /// Opens it for the next request, which takes along whom an upstream of HTTP/1.1 tells of interim answers.
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
    /// Has an answer written, unless it is one that the proxy sends itself or not at all, the request has its answer, or
    /// the client has not read others.
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

    /// Has the connection look whether its client has left, and end if so.
    pub(super) fn look(&self) {
        let mut state = self.interim.lock();
        state.look = true;
        let connection = state.connection.take();
        drop(state);
        if let Some(connection) = connection {
            connection.wake();
        }
    }

    /// Takes no more, and is ready when all is written: the answer may follow.
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
    /// Writes what comes by `interim` to `inner`.
    pub(super) fn new(inner: T, interim: Interim) -> Self {
        Self { inner, interim }
    }
}

impl<T: AsyncWrite + Reset + Unpin> Io<T> {
    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.interim.lock();
        if std::mem::take(&mut state.look) && self.inner.is_left() {
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
    // Writing to memory does not fail.
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

/// What waits for a client that does not read; more is dropped, as it may be.
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
    async fn a_request_that_has_its_answer_sends_no_more() {
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
    async fn what_waits_is_bounded() {
        let interim = Interim::default();
        let exchange = interim.next();
        for _ in 0..1000 {
            exchange.send(StatusCode::EARLY_HINTS, &hints(100));
        }
        assert!((8_000..=MAX_WAITING).contains(&interim.lock().waiting.len()));
    }

    /// Both in one task, as in hyper.
    #[tokio::test]
    async fn the_answer_waits_until_the_client_has_read_what_comes_before() {
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
