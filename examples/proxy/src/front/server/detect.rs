//! Decides by the first bytes of a connection between HTTP/1.1 and HTTP/2.
//!
//! hyper-util's `auto` does so too, but its connection has room for the states of both protocols, and its first read
//! returns the compared bytes alone, whereupon hyper doubles the read buffer of the connection.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Body;
use hyper::body::Incoming;
use hyper::rt::bounds::Http2ServerConnExec;
use hyper::rt::{Read, Write};
use hyper::server::conn::{http1, http2};
use hyper::service::HttpService;
use tokio::io::{AsyncRead, ReadBuf};
use tower::BoxError;

use super::rewind::Rewind;

/// HTTP/2's connection preface (RFC 9113, 3.4).
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The protocol of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// A hyper connection of either protocol.
pub(super) trait Serve {
    /// Serves the connection; ready once it has ended.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>>;

    /// Takes no more requests, and ends when those in flight are done.
    fn close(self: Pin<&mut Self>);
}

/// A connection in an allocation of its own, so that one over HTTP/1.1 is not as large as one over HTTP/2.
pub(super) type Served = Pin<Box<dyn Serve + Send>>;

/// A client's connection, from before its protocol is known to its end.
pub(super) enum Detect<T> {
    /// Not all bytes that decide have been received.
    Reading(Box<Reading<T>>),
    Serving(Served),
    /// Closed before its protocol was known.
    Closed,
}

pub(super) struct Reading<T> {
    io: Option<T>,
    bytes: [u8; PREFACE.len()],
    filled: usize,
    begin: Option<Box<Begin<T>>>,
}

type Begin<T> = dyn FnOnce(Protocol, Rewind<T>) -> Served + Send;

impl<T: AsyncRead + Unpin> Detect<T> {
    /// Reads from `io` until the protocol is known, and then begins to serve it with `begin`.
    pub(super) fn new(
        io: T,
        begin: impl FnOnce(Protocol, Rewind<T>) -> Served + Send + 'static,
    ) -> Self {
        Self::Reading(Box::new(Reading {
            io: Some(io),
            bytes: [0; _],
            filled: 0,
            begin: Some(Box::new(begin)),
        }))
    }

    /// Takes no more requests, and ends when those in flight are done.
    pub(super) fn close(&mut self) {
        match self {
            Self::Reading(_) => *self = Self::Closed,
            Self::Serving(connection) => connection.as_mut().close(),
            Self::Closed => {}
        }
    }
}

impl<T: AsyncRead + Unpin> Future for Detect<T> {
    type Output = Result<(), BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match &mut *self {
                // ## Reading => Serving
                Self::Reading(reading) => {
                    let protocol = ready!(reading.poll(cx))?;
                    *self = reading.serve(protocol).map_or(Self::Closed, Self::Serving);
                }
                Self::Serving(connection) => return connection.as_mut().poll(cx),
                Self::Closed => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl<T: AsyncRead + Unpin> Reading<T> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Protocol>> {
        while let Some(io) = &mut self.io
            && self.filled < PREFACE.len()
        {
            let mut buf = ReadBuf::new(&mut self.bytes[self.filled..]);
            ready!(Pin::new(io).poll_read(cx, &mut buf))?;
            let read = buf.filled().len();
            self.filled += read;
            if read == 0 || !PREFACE.starts_with(&self.bytes[..self.filled]) {
                return Poll::Ready(Ok(Protocol::Http1));
            }
        }
        Poll::Ready(Ok(Protocol::Http2))
    }

    fn serve(&mut self, protocol: Protocol) -> Option<Served> {
        let (io, begin) = self.io.take().zip(self.begin.take())?;
        Some(begin(protocol, Rewind::new(io, self.bytes, self.filled)))
    }
}

impl<I, S, B> Serve for http1::Connection<I, S>
where
    I: Read + Write + Unpin + 'static,
    S: HttpService<Incoming, ResBody = B, Error: Into<BoxError>>,
    B: Body<Error: Into<BoxError>> + 'static,
{
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Future::poll(self, cx).map_err(Into::into)
    }

    fn close(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S, B, E> Serve for http2::Connection<I, S, E>
where
    I: Read + Write + Unpin + 'static,
    S: HttpService<Incoming, ResBody = B, Future: 'static, Error: Into<BoxError>>,
    B: Body<Data = Bytes, Error: Into<BoxError>> + 'static,
    E: Http2ServerConnExec<S::Future, B>,
{
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Future::poll(self, cx).map_err(Into::into)
    }

    fn close(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    struct Done;

    impl Serve for Done {
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
            Poll::Ready(Ok(()))
        }

        fn close(self: Pin<&mut Self>) {}
    }

    /// Sends `bytes` in pieces of `piece`, and returns the detected protocol and what is then read.
    async fn detect(bytes: &'static [u8], piece: usize) -> (Protocol, Vec<u8>) {
        let (near, mut far) = tokio::io::duplex(piece);
        let found = Arc::new(Mutex::new(None));
        let keep = Arc::clone(&found);
        let detect = Detect::new(near, move |protocol, io| {
            *keep.lock().unwrap() = Some((protocol, io));
            Box::pin(Done)
        });
        let write = tokio::spawn(async move { far.write_all(bytes).await });
        detect.await.unwrap();
        let (protocol, mut io) = found.lock().unwrap().take().unwrap();
        let mut read = Vec::new();
        io.read_to_end(&mut read).await.unwrap();
        write.await.unwrap().unwrap();
        (protocol, read)
    }

    #[tokio::test]
    async fn the_protocol_is_detected_in_pieces_and_all_bytes_are_read_again() {
        let table: [(&[u8], _); 6] = [
            (
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04",
                Protocol::Http2,
            ),
            (PREFACE, Protocol::Http2),
            (b"PRI / HTTP/1.1\r\n\r\n", Protocol::Http1),
            (b"PRI *", Protocol::Http1),
            (b"PRIx", Protocol::Http1),
            (b"", Protocol::Http1),
        ];
        for (bytes, protocol) in table {
            for piece in 1..40 {
                assert_eq!(
                    detect(bytes, piece).await,
                    (protocol, bytes.to_vec()),
                    "{piece}"
                );
            }
        }
    }

    #[tokio::test]
    async fn closed_before_the_first_bytes_it_ends() {
        let (near, _far) = tokio::io::duplex(1);
        let mut detect = Detect::new(near, |_, _| Box::pin(Done));
        detect.close();
        detect.await.unwrap();
    }
}
