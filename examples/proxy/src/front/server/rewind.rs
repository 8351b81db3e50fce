use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::detect::PREFACE;

/// A transport of which some bytes were read that are read again.
#[derive(Debug)]
pub(super) struct Rewind<T> {
    inner: T,
    bytes: [u8; PREFACE.len()],
    /// The number of `bytes` to read again, at most; they fit in what is read at first.
    again: usize,
}

impl<T> Rewind<T> {
    /// Returns to `inner` the first `filled` of `bytes`.
    pub(super) const fn new(inner: T, bytes: [u8; PREFACE.len()], filled: usize) -> Self {
        Self {
            inner,
            bytes,
            again: filled,
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Rewind<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.again == 0 {
            return Pin::new(&mut this.inner).poll_read(cx, buf);
        }
        let copied = this.again.min(buf.remaining());
        buf.put_slice(&this.bytes[..copied]);
        this.bytes.copy_within(copied..this.again, 0);
        this.again -= copied;
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        // In one read with what follows, as hyper reserves as much again for each read. If this one fails, the next one
        // returns an error or the end of the stream.
        let _ = Pin::new(&mut this.inner).poll_read(cx, buf);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Rewind<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
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

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
