//! Clients that do what no library would: HTTP/1.1 bytes and HTTP/2 frames, written by hand.

use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::support::LIMIT;

/// Connects with a small receive buffer, so that unread data soon stays with the sender.
pub(crate) async fn connect(address: SocketAddr) -> TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Sends what it can of `bytes`; a peer that has closed the connection is not an error here.
pub(crate) async fn send(stream: &mut TcpStream, bytes: &[u8]) {
    let _ = stream.write_all(bytes).await;
}

/// Reads until the peer closes the connection in any way. Returns what was received.
pub(crate) async fn read_to_close(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = [0; 16 * 1024];
    let reading = async {
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            all.extend_from_slice(&buffer[..read]);
        }
    };
    timeout(LIMIT, reading).await.expect("the peer closes");
    all
}

/// Waits until the peer has closed the connection, without reading what it has sent.
pub(crate) async fn closed_unread(stream: &TcpStream) {
    let closed = async {
        loop {
            let error = SockRef::from(stream).take_error().unwrap();
            let info = stream.ready(tokio::io::Interest::READABLE).await.unwrap();
            if error.is_some() || info.is_read_closed() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LIMIT, closed).await.expect("the peer closes");
}

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const ACK: u8 = 1;
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Encodes a field without compression (RFC 7541, 6.2.2).
fn field(name: &str, value: &str) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).unwrap();
    [
        &[0, length(name)],
        name.as_bytes(),
        &[length(value)],
        value.as_bytes(),
    ]
    .concat()
}

pub(crate) fn headers(stream: u32, method: &str, path: &str, end: bool) -> Vec<u8> {
    let block = [
        field(":method", method),
        field(":scheme", "http"),
        field(":path", path),
        field(":authority", "test.example"),
    ]
    .concat();
    let flags = END_HEADERS | if end { END_STREAM } else { 0 };
    frame(HEADERS, flags, stream, &block)
}

pub(crate) fn window_update(stream: u32, by: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes())
}

/// A frame that was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// An HTTP/2 client that answers pings and settings, if at all, and otherwise does only what the test says.
pub(crate) struct H2 {
    pub(crate) stream: TcpStream,
}

impl H2 {
    /// Connects; each response may send `window` bytes before its window is opened further.
    pub(crate) async fn connect(address: SocketAddr, window: u32) -> Self {
        let mut stream = connect(address).await;
        let initial_window = [&[0, 4][..], &window.to_be_bytes()].concat();
        send(&mut stream, PREFACE).await;
        send(&mut stream, &frame(SETTINGS, 0, 0, &initial_window)).await;
        // All streams together may send without limit.
        send(&mut stream, &window_update(0, i32::MAX as u32 - 65_535)).await;
        Self { stream }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        send(&mut self.stream, bytes).await;
    }

    pub(crate) async fn get(&mut self, stream: u32, path: &str) {
        self.send(&headers(stream, "GET", path, true)).await;
    }

    /// Returns the next frame, or `None` once the proxy has closed the connection. Pings and settings are answered.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        let frame = timeout(LIMIT, self.read())
            .await
            .expect("a frame or the end")?;
        if frame.flags & ACK == 0 && matches!(frame.kind, PING | SETTINGS) {
            let payload = match frame.kind {
                PING => &frame.payload[..],
                _ => &[],
            };
            self.send(&self::frame(frame.kind, ACK, 0, payload)).await;
        }
        Some(frame)
    }

    /// Returns the first frame of this kind on this stream.
    pub(crate) async fn wait_for(&mut self, kind: u8, stream: u32) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if (frame.kind, frame.stream) == (kind, stream) {
                return Some(frame);
            }
        }
    }

    async fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await.ok()?;
        let [a, b, c, kind, flags, s, t, u, v] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.stream.read_exact(&mut payload).await.ok()?;
        Some(Frame {
            kind,
            flags,
            stream: u32::from_be_bytes([s, t, u, v]),
            payload,
        })
    }
}

/// Measures how long something takes.
pub(crate) async fn time<T>(what: impl Future<Output = T>) -> (T, Duration) {
    let start = Instant::now();
    (what.await, start.elapsed())
}
