//! HTTP/2 on a raw socket, frame by frame, so that either side can send what no library would.
//!
//! A script is a list of `VERB rest`. `HEADERS name: value | name: value` opens a stream (if it has a `:method`, the
//! next one) or responds on it, `GET host /path | name: value` for short; `TRAILERS` and `DATA` follow it. A verb that
//! ends in `!` ends the stream. `RST 8`, `GOAWAY 0` and `CLOSE` do what their names say. A response is sent in one
//! piece.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::message::{Fields, Message, split};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;
const PADDED: u8 = 8;

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    /// The bytes to be sent in one piece.
    out: Vec<u8>,
    decoder: hpack::Decoder<'static>,
    /// What was received on each stream, and whether it has ended.
    streams: BTreeMap<u32, (Message, bool)>,
    /// Why the connection has ended, if it has.
    gone: Option<String>,
}

impl Connection {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            out: Vec::new(),
            decoder: hpack::Decoder::new(),
            streams: BTreeMap::new(),
            gone: None,
        }
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.out.extend(&(payload.len() as u32).to_be_bytes()[1..]);
        self.out.extend([kind, flags]);
        self.out.extend(stream.to_be_bytes());
        self.out.extend(payload);
    }

    /// Sends what has been played. If the peer has disconnected, the next read fails.
    async fn flush(&mut self) {
        let _ = self.stream.write_all(&std::mem::take(&mut self.out)).await;
    }

    fn settings(&mut self, settings: &[(u16, u32)]) {
        let bytes = settings.iter().flat_map(|(id, value)| {
            let id = id.to_be_bytes().into_iter();
            id.chain(value.to_be_bytes())
        });
        self.send(SETTINGS, 0, 0, &bytes.collect::<Vec<_>>());
    }

    fn head(&mut self, stream: u32, fields: &Fields, end: bool) {
        let block: Vec<u8> = fields.iter().flat_map(literal).collect();
        let mut pieces = block.chunks(16_384).peekable();
        let mut kind = HEADERS;
        while let Some(piece) = pieces.next() {
            let last = if pieces.peek().is_none() {
                END_HEADERS
            } else {
                0
            };
            let end = if kind == HEADERS && end {
                END_STREAM
            } else {
                0
            };
            self.send(kind, last | end, stream, piece);
            kind = CONTINUATION;
        }
    }

    /// Plays one line of a script on `stream`; returns `false` if it closes the connection.
    fn play(&mut self, line: &str, stream: u32) -> bool {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let end = verb.ends_with('!');
        match verb.trim_end_matches('!') {
            "HEADERS" | "TRAILERS" => self.head(stream, &fields(rest), end),
            "DATA" => {
                let flags = if end { END_STREAM } else { 0 };
                self.send(DATA, flags, stream, rest.as_bytes());
            }
            "RST" => {
                let code: u32 = rest.parse().unwrap();
                self.send(RST_STREAM, 0, stream, &code.to_be_bytes());
            }
            "GOAWAY" => {
                let code: u32 = rest.parse().unwrap();
                let payload = [stream.to_be_bytes(), code.to_be_bytes()].concat();
                self.send(GOAWAY, 0, 0, &payload);
            }
            "CLOSE" => return false,
            verb => panic!("there is no verb {verb:?}"),
        }
        true
    }

    /// Waits until each of these streams, or the connection, has ended.
    async fn ends(&mut self, streams: &[u32]) {
        let ended = |connection: &Self, id| connection.streams.get(id).is_some_and(|entry| entry.1);
        while self.gone.is_none() && !streams.iter().all(|id| ended(self, id)) {
            self.advance().await;
        }
    }

    async fn frame(&mut self) -> Option<Frame> {
        self.flush().await;
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await.ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        self.stream.read_exact(&mut payload).await.ok()?;
        Some(Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
            payload,
        })
    }

    /// Reads and records a frame with all its continuations. Returns the stream that it ends.
    async fn advance(&mut self) -> Option<u32> {
        let Some(mut frame) = self.frame().await else {
            self.gone.get_or_insert_with(|| "closed".into());
            return None;
        };
        match frame.kind {
            SETTINGS if frame.flags & ACK == 0 => self.send(SETTINGS, ACK, 0, &[]),
            PING if frame.flags & ACK == 0 => self.send(PING, ACK, 0, &frame.payload),
            GOAWAY => {
                let code = u32::from_be_bytes(frame.payload[4..8].try_into().unwrap());
                if code != 0 {
                    self.gone = Some(format!("goaway {code}"));
                }
            }
            RST_STREAM => {
                let code = u32::from_be_bytes(frame.payload[..4].try_into().unwrap());
                let entry = self.streams.entry(frame.stream).or_default();
                // A reset after the end, with NO_ERROR or not, only means that no more of the request is wanted.
                if !entry.1 {
                    entry.0.cut = Some(format!("reset {code}"));
                    entry.1 = true;
                }
                return Some(frame.stream);
            }
            DATA => {
                assert_eq!(frame.flags & PADDED, 0, "the proxy does not pad");
                let entry = self.streams.entry(frame.stream).or_default();
                entry.0.content.append(&mut frame.payload);
                entry.1 |= frame.flags & END_STREAM != 0;
                return entry.1.then_some(frame.stream);
            }
            HEADERS => {
                let mut flags = frame.flags;
                while flags & END_HEADERS == 0 {
                    let Some(mut more) = self.frame().await else {
                        self.gone = Some("closed".into());
                        return None;
                    };
                    frame.payload.append(&mut more.payload);
                    flags = more.flags;
                }
                let fields = self.decoder.decode(&frame.payload).expect("valid HPACK");
                let text = |bytes: Vec<u8>| bytes.into_iter().map(char::from).collect::<String>();
                let fields = fields
                    .into_iter()
                    .map(|(name, value)| (text(name), text(value)));
                let entry = self.streams.entry(frame.stream).or_default();
                entry.0.take(fields.collect());
                entry.1 |= frame.flags & END_STREAM != 0;
                return entry.1.then_some(frame.stream);
            }
            _ => {}
        }
        None
    }
}

impl Message {
    /// Records header fields, header fields after interim responses, or trailers.
    fn take(&mut self, fields: Fields) {
        let pseudo = |name| Self::values(&fields, name).first().copied();
        if let Some(status) = pseudo(":status") {
            self.start = format!("HTTP/2 {status}");
            self.fields = fields;
        } else if let Some(method) = pseudo(":method") {
            self.start = format!("{method} {} HTTP/2", pseudo(":path").unwrap_or_default());
            self.fields = fields;
        } else {
            self.trailers = fields;
        }
    }
}

/// Plays the script, and reads until each stream that it opened has ended. `WAIT` waits for those opened so far.
pub async fn client(stream: TcpStream, script: &[String], answers: &mut Vec<Message>) {
    let mut connection = Connection::new(stream);
    let _ = connection.stream.write_all(PREFACE).await;
    connection.settings(&[]);
    let mut opened = Vec::new();
    for line in script {
        if line.starts_with("HEADERS") {
            opened.push(2 * opened.len() as u32 + 1);
        }
        match opened.last() {
            Some(_) if line == "WAIT" => connection.ends(&opened).await,
            Some(stream) => drop(connection.play(line, *stream)),
            None => panic!("{line:?} before HEADERS"),
        }
    }
    connection.ends(&opened).await;
    for id in opened {
        let (mut message, ended) = connection.streams.remove(&id).unwrap_or_default();
        if !ended {
            message.cut.clone_from(&connection.gone);
        }
        answers.push(message);
    }
}

/// Records the requests of one connection, and plays a response for each.
pub async fn upstream(
    stream: TcpStream,
    seen: Arc<Mutex<Vec<Message>>>,
    script: Arc<Mutex<std::vec::IntoIter<Vec<String>>>>,
    settings: &[(u16, u32)],
) {
    let mut connection = Connection::new(stream);
    let mut preface = [0; PREFACE.len()];
    if connection.stream.read_exact(&mut preface).await.is_err() {
        return;
    }
    assert_eq!(preface, PREFACE);
    connection.settings(settings);
    while connection.gone.is_none() {
        let Some(id) = connection.advance().await else {
            continue;
        };
        let Some((request, true)) = connection.streams.remove(&id) else {
            continue;
        };
        // A reset after the end only means that the response was rejected.
        if request.start.is_empty() {
            continue;
        }
        let broken = request.cut.is_some();
        seen.lock().unwrap().push(request);
        if broken {
            continue;
        }
        let answer = script.lock().unwrap().next();
        for line in answer.unwrap_or_default() {
            if !connection.play(&line, id) {
                connection.flush().await;
                return;
            }
        }
    }
}

/// Parses `name: value | name: value`, or `GET host /path | name: value`, where the host `-` means none.
fn fields(text: &str) -> Fields {
    let mut fields = Fields::new();
    for (index, field) in text.split(" | ").enumerate() {
        let words: Vec<_> = field.split(' ').collect();
        if let (0, [method, host, path]) = (index, words.as_slice())
            && method.bytes().all(|byte| byte.is_ascii_uppercase())
        {
            let pseudo = [
                (":method", *method),
                (":scheme", "http"),
                (":authority", *host),
                (":path", *path),
            ];
            let pseudo = pseudo.into_iter().filter(|(_, value)| *value != "-");
            fields.extend(pseudo.map(|(name, value)| (name.to_owned(), value.to_owned())));
        } else {
            let (name, value) = split(field);
            fields.push((name.to_owned(), value.to_owned()));
        }
    }
    fields
}

/// Encodes a literal field without indexing and without Huffman coding (RFC 7541, 6.2.2).
fn literal((name, value): &(String, String)) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        let text: Vec<u8> = text.chars().map(|c| c as u8).collect();
        let mut length = text.len();
        if length < 127 {
            bytes.push(length as u8);
        } else {
            bytes.push(127);
            length -= 127;
            while length >= 128 {
                bytes.push((length % 128) as u8 | 128);
                length /= 128;
            }
            bytes.push(length as u8);
        }
        bytes.extend(text);
    }
    bytes
}
