//! The sockets of both sides: what every one of them is set to, and a wrapper that tells what happens on it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::transport::stall;

/// Sets what connections of both sides have in common; the peer's silence is looked into after `keep_alive`.
///
/// # Errors
///
/// If the operating system refuses.
pub fn prepare(stream: &TcpStream, keep_alive: Option<Duration>) -> io::Result<()> {
    // Without it a message's last, small packet may wait for an acknowledgement.
    stream.set_nodelay(true)?;
    // The system counts in seconds.
    if let Some(after) = keep_alive.map(|after| after.max(Duration::from_secs(1))) {
        let probes = TcpKeepalive::new()
            .with_time(after)
            .with_interval(after)
            .with_retries(PROBES);
        SockRef::from(stream).set_tcp_keepalive(&probes)?;
    }
    Ok(())
}

/// Learns what happens on a socket.
pub trait Observe {
    /// These bytes have come.
    fn read(&mut self, _bytes: &[u8]) {}
    /// So many bytes have gone.
    fn wrote(&mut self, _bytes: usize) {}
    /// Whether bytes wait for the peer to take them.
    fn waits(&mut self, _for_peer: bool) {}
    /// Whether the peer was given up, so that the system need not try to send it what is left.
    fn is_given_up(&self) -> bool {
        false
    }
}

/// A transport that can be closed at once.
pub trait Reset {
    /// When it is dropped, what was written and has not gone yet is discarded.
    fn reset(&self);

    /// Whether the peer has closed it, as far as that can be told without reading.
    fn is_left(&self) -> bool {
        false
    }
}

impl Reset for TcpStream {
    fn reset(&self) {
        // If it cannot be, the system goes on trying for some minutes.
        let _ = SockRef::from(self).set_linger(Some(Duration::ZERO));
    }

    fn is_left(&self) -> bool {
        let ready = self.ready(Interest::READABLE).now_or_never();
        ready.is_some_and(|ready| ready.is_ok_and(|ready| ready.is_read_closed()))
    }
}

/// A socket that is observed, tells [`stall`] that its peer reads, and reads no more than 32 KiB at a time: what
/// is read at once is held at once while the other side is slow.
#[derive(Debug)]
pub struct Socket<T: Reset, O: Observe> {
    inner: T,
    observer: O,
}

impl<T: Reset, O: Observe> Socket<T, O> {
    /// Tells `observer` what happens on `inner`.
    pub const fn new(inner: T, observer: O) -> Self {
        Self { inner, observer }
    }

    fn note(&mut self, written: &Poll<io::Result<usize>>) {
        self.observer.waits(written.is_pending());
        if let Poll::Ready(Ok(bytes)) = written {
            self.observer.wrote(*bytes);
            stall::progress();
        }
    }
}

impl<T: Reset, O: Observe> Reset for Socket<T, O> {
    fn reset(&self) {
        self.inner.reset();
    }

    fn is_left(&self) -> bool {
        self.inner.is_left()
    }
}

impl<T: AsyncRead + Reset + Unpin, O: Observe + Unpin> AsyncRead for Socket<T, O> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let polled = if buf.remaining() <= AT_ONCE {
            Pin::new(&mut this.inner).poll_read(cx, buf)
        } else {
            // hyper asks for more than that only after it has got as much, so that this is for fast senders only.
            let mut part = ReadBuf::new(buf.initialize_unfilled_to(AT_ONCE));
            let polled = Pin::new(&mut this.inner).poll_read(cx, &mut part);
            let read = part.filled().len();
            buf.advance(read);
            polled
        };
        let read = &buf.filled()[before..];
        if !read.is_empty() {
            this.observer.read(read);
        }
        polled
    }
}

impl<T: AsyncWrite + Reset + Unpin, O: Observe + Unpin> AsyncWrite for Socket<T, O> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.note(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.note(&written);
        written
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

impl<T: Reset, O: Observe> Drop for Socket<T, O> {
    fn drop(&mut self) {
        if self.observer.is_given_up() {
            self.inner.reset();
        }
    }
}

/// So many bytes are read at a time.
const AT_ONCE: usize = 32 * 1024;
/// So many probes without an answer, and the peer is taken to be gone.
const PROBES: u32 = 3;
