//! The sockets of both sides: their options, and a wrapper that reports reads and writes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use super::read_signal::ReadSignal;
use super::stall;

/// Sets the options that the connections of both sides share; a silent peer is probed after `keep_alive`.
///
/// # Errors
///
/// If the operating system refuses.
pub fn prepare(stream: &TcpStream, keep_alive: Option<Duration>) -> io::Result<()> {
    // Otherwise the last, small packet of a message may wait for an acknowledgement.
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

/// Observes the reads and writes of a socket.
pub trait Observe {
    /// Returns the maximum number of bytes of the next read, more than 0, or `None` without a limit of its own.
    fn limit(&self) -> Option<usize> {
        None
    }
    /// Called with bytes that were received.
    fn read(&mut self, _bytes: &[u8]) {}
    /// Called with the number of bytes that were sent.
    fn wrote(&mut self, _bytes: usize) {}
    /// Called with whether bytes wait for the peer to read.
    fn waits(&mut self, _for_peer: bool) {}
    /// Returns whether the peer was given up, so that the system need not try to send what is left.
    fn is_given_up(&self) -> bool {
        false
    }
}

/// A transport that can be reset.
pub trait Reset {
    /// Makes dropping it discard what was written but not sent yet.
    fn reset(&self);

    /// Returns whether the peer has closed the connection, as far as can be told without reading.
    fn is_left(&self) -> bool {
        false
    }
}

impl Reset for TcpStream {
    fn reset(&self) {
        // If this fails, the system keeps trying to send for some minutes.
        let _ = SockRef::from(self).set_linger(Some(Duration::ZERO));
    }

    fn is_left(&self) -> bool {
        let ready = self.ready(Interest::READABLE).now_or_never();
        ready.is_some_and(|ready| ready.is_ok_and(|ready| ready.is_read_closed()))
    }
}

/// A socket that reports to an observer, tells [`stall`] when its peer reads, and reads at most 64 KiB at a time: what
/// is read at once stays in memory while the other side is slow.
#[derive(Debug)]
pub struct Socket<T: Reset, O: Observe> {
    inner: T,
    observer: O,
    read_signal: ReadSignal,
}

impl<T: Reset, O: Observe> Socket<T, O> {
    /// Wraps `inner`, reporting to `observer`.
    pub fn new(inner: T, observer: O) -> Self {
        Self {
            inner,
            observer,
            read_signal: ReadSignal::new(),
        }
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
        let most = this.observer.limit().unwrap_or(AT_ONCE).min(AT_ONCE);
        let polled = this.read_signal.poll(cx, |cx| {
            if buf.remaining() <= most {
                return Pin::new(&mut this.inner).poll_read(cx, buf);
            }
            // A `ReadBuf` of a part of `buf` would have to be initialized, at the price of reading as much again.
            let mut part = (&mut this.inner).take(most as u64);
            Pin::new(&mut part).poll_read(cx, buf)
        });
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

/// The maximum number of bytes that are read at a time. Over HTTP/1.1, twice as many cost half the system calls of a large
/// body, and a slow reader holds up to two reads.
const AT_ONCE: usize = 64 * 1024;
/// The number of probes without a response after which the peer counts as gone.
const PROBES: u32 = 3;
