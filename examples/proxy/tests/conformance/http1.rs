//! HTTP/1 on a raw socket: a strict reader, a client and an upstream.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::message::{Message, is_start};

/// Reads messages from a connection, strictly by RFC 9112.
pub struct Reader {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// Stands for the end of the connection in the text that an upstream plays.
pub const EOF: char = '\u{4}';

impl Reader {
    pub fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    pub async fn write(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// Waits for more bytes; returns `false` once the connection has ended in any way.
    async fn more(&mut self) -> bool {
        let mut chunk = [0; 16_384];
        match self.stream.read(&mut chunk).await {
            Ok(read) if read > 0 => {
                self.buffer.extend_from_slice(&chunk[..read]);
                true
            }
            _ => false,
        }
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\r\n") {
                let line = self.buffer.drain(..end + 2).take(end);
                return Some(line.map(char::from).collect());
            }
            if !self.more().await {
                return None;
            }
        }
    }

    async fn fields(&mut self, into: &mut Vec<(String, String)>) -> Result<(), &'static str> {
        loop {
            let line = self.line().await.ok_or("closed")?;
            if line.is_empty() {
                return Ok(());
            }
            let (name, value) = line.split_once(':').ok_or("a field without a colon")?;
            into.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    async fn take(&mut self, length: usize, into: &mut Vec<u8>) -> Result<(), &'static str> {
        while self.buffer.len() < length {
            if !self.more().await {
                into.append(&mut self.buffer);
                return Err("closed");
            }
        }
        into.extend(self.buffer.drain(..length));
        Ok(())
    }

    async fn chunks(&mut self, message: &mut Message) -> Result<(), &'static str> {
        loop {
            let size = self.line().await.ok_or("closed")?;
            let size = usize::from_str_radix(&size, 16).map_err(|_| "a bad chunk size")?;
            if size == 0 {
                return self.fields(&mut message.trailers).await;
            }
            self.take(size, &mut message.content).await?;
            if !self.line().await.ok_or("closed")?.is_empty() {
                return Err("a chunk longer than its size");
            }
        }
    }

    /// Returns the next message, or `None` at the end of the connection. If it is a response, `request` is the method
    /// of its request.
    pub async fn message(&mut self, request: Option<&str>) -> Option<Message> {
        let mut message = Message {
            start: self.line().await?,
            ..Message::default()
        };
        if let Err(why) = self.rest(&mut message, request).await {
            message.cut = Some(why.to_owned());
        }
        Some(message)
    }

    async fn rest(
        &mut self,
        message: &mut Message,
        request: Option<&str>,
    ) -> Result<(), &'static str> {
        self.fields(&mut message.fields).await?;
        let codings = Message::values(&message.fields, "transfer-encoding");
        let lengths = Message::values(&message.fields, "content-length");
        let status = message.start.split(' ').nth(1).unwrap_or_default();
        let bare =
            request.is_some() && (status.starts_with('1') || ["204", "304"].contains(&status));
        match (codings.as_slice(), lengths.as_slice()) {
            ([_, ..], [_, ..]) => Err("both a length and a transfer coding"),
            _ if bare || request == Some("HEAD") => Ok(()),
            ([coding], []) if coding.eq_ignore_ascii_case("chunked") => self.chunks(message).await,
            ([_, ..], []) => Err("a transfer coding other than chunked"),
            ([], [length]) => {
                let length = length.parse().map_err(|_| "a bad length")?;
                self.take(length, &mut message.content).await
            }
            ([], [_, ..]) => Err("more than one length"),
            ([], []) if request.is_some() => {
                while self.more().await {}
                message.content.append(&mut self.buffer);
                Ok(())
            }
            ([], []) => Ok(()),
        }
    }

    /// Returns whether the connection ends now, without another byte.
    pub async fn ended(&mut self) -> bool {
        self.buffer.is_empty() && !self.more().await
    }
}

/// Sends `bytes`, and reads the responses that `gets` expects; `closes` stands for the end of the connection.
pub async fn client(stream: TcpStream, bytes: &str, gets: &[String], answers: &mut Vec<Message>) {
    let mut reader = Reader::new(stream);
    reader.write(&latin1(bytes)).await;
    let mut method = bytes.split(' ').next();
    for start in gets.iter().filter(|line| is_start(line)) {
        if start == "closes" {
            if reader.ended().await {
                answers.push(Message {
                    start: start.clone(),
                    ..Message::default()
                });
            }
            continue;
        }
        let Some(answer) = reader.message(method).await else {
            break;
        };
        let interim = answer
            .start
            .split(' ')
            .nth(1)
            .is_some_and(|status| status.starts_with('1'));
        answers.push(answer);
        if !interim {
            // In these tables, the requests after the first are GETs.
            method = Some("GET");
        }
    }
}

/// Records the requests of one connection, and plays a response for each.
pub async fn upstream(
    stream: TcpStream,
    seen: Arc<Mutex<Vec<Message>>>,
    script: Arc<Mutex<std::vec::IntoIter<String>>>,
) {
    let mut reader = Reader::new(stream);
    while let Some(request) = reader.message(None).await {
        seen.lock().unwrap().push(request);
        let answer = script.lock().unwrap().next();
        let Some(answer) = answer else { return };
        if !reader.write(&latin1(answer.trim_end_matches(EOF))).await || answer.ends_with(EOF) {
            return;
        }
    }
}

/// Encodes each character as one byte, so that a table can contain any byte.
fn latin1(text: &str) -> Vec<u8> {
    let byte = |c| u8::try_from(u32::from(c)).expect("a byte");
    text.chars().map(byte).collect()
}
