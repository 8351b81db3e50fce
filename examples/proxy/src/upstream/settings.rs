//! Observes the SETTINGS of an HTTP/2 endpoint.
//!
//! hyper tells only the connection's task how many streams an endpoint allows, and does not report changes. So the
//! SETTINGS are parsed from what the socket reads, along with the lengths of header blocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Notify;

use crate::transport::blocks::{Blocks, HEAD, OversizedTrailers, Part, parse_head};
use crate::transport::socket::Observe;

/// The number of streams that an endpoint allows.
#[derive(Debug)]
pub(super) struct Allowed {
    streams: AtomicU32,
    first: Notify,
    long: OversizedTrailers,
}

impl Allowed {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            streams: AtomicU32::new(NONE_YET),
            first: Notify::new(),
            long: OversizedTrailers::default(),
        })
    }

    /// Returns the maximum number of concurrent streams.
    pub(super) fn streams(&self) -> u32 {
        self.streams.load(Ordering::Relaxed)
    }

    /// Returns the counter of trailers that h2 may have shortened.
    pub(super) const fn long(&self) -> &OversizedTrailers {
        &self.long
    }

    /// Waits until the endpoint allows a stream, which it does by its first frame.
    pub(super) async fn some(&self) {
        while self.streams() == 0 {
            self.first.notified().await;
        }
    }

    fn set(&self, streams: u32) {
        self.streams.store(streams, Ordering::Relaxed);
        self.first.notify_one();
    }
}

/// Parses the frames that an endpoint sends (RFC 9113, 4.1).
#[derive(Debug)]
pub(super) struct Settings {
    allowed: Arc<Allowed>,
    blocks: Blocks,
    head: Part<HEAD>,
    setting: Part<SETTING>,
    state: State,
    /// Whether the endpoint has set a maximum.
    said: bool,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Head,
    /// The number of bytes left of a frame to skip.
    Skip(usize),
    /// The number of bytes left of a SETTINGS frame.
    Settings(usize),
}

impl State {
    const fn is_end(self) -> bool {
        matches!(self, Self::Skip(0) | Self::Settings(0))
    }
}

impl Settings {
    pub(super) fn new(allowed: Arc<Allowed>, max_head_size: usize) -> Self {
        Self {
            blocks: Blocks::new(allowed.long.clone(), max_head_size),
            allowed,
            head: Part::new(),
            setting: Part::new(),
            state: State::Head,
            said: false,
        }
    }

    fn begin(&mut self, head: [u8; HEAD]) -> State {
        let (length, kind, flags) = parse_head(head);
        self.blocks.frame(kind, flags, length);
        match kind == SETTINGS && flags & ACK == 0 {
            true => State::Settings(length),
            false => State::Skip(length),
        }
    }

    fn set(&mut self, [a, b, value @ ..]: [u8; SETTING]) {
        if u16::from_be_bytes([a, b]) == MAX_CONCURRENT_STREAMS {
            self.said = true;
            self.allowed.set(u32::from_be_bytes(value));
        }
    }

    /// A first SETTINGS frame without a maximum means no limit; later ones without one change nothing.
    fn end(&mut self) {
        if !std::mem::replace(&mut self.said, true) {
            self.allowed.set(u32::MAX);
        }
    }
}

impl Observe for Settings {
    fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let before = self.state;
            self.state = match before {
                State::Head => match self.head.take(&mut bytes) {
                    Some(head) => self.begin(head),
                    None => State::Head,
                },
                State::Skip(left) => {
                    let skipped = left.min(bytes.len());
                    bytes = &bytes[skipped..];
                    State::Skip(left - skipped)
                }
                State::Settings(left) if left < SETTING => State::Skip(left),
                State::Settings(left) => match self.setting.take(&mut bytes) {
                    Some(setting) => {
                        self.set(setting);
                        State::Settings(left - SETTING)
                    }
                    None => State::Settings(left),
                },
            };
            if self.state.is_end() {
                let settings = matches!(before, State::Settings(_))
                    || matches!(self.state, State::Settings(0));
                if settings {
                    self.end();
                }
                self.state = State::Head;
            }
        }
    }
}

/// The length of one setting.
const SETTING: usize = 6;
/// The type of a SETTINGS frame (RFC 9113, 6.5).
const SETTINGS: u8 = 4;
const ACK: u8 = 1;
const MAX_CONCURRENT_STREAMS: u16 = 3;
/// An endpoint that has not sent its SETTINGS yet gets no request.
const NONE_YET: u32 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 0], payload].concat()
    }

    fn setting(id: u8, value: u32) -> Vec<u8> {
        [&[0, id][..], &value.to_be_bytes()].concat()
    }

    #[test]
    fn the_last_setting_applies_however_it_is_split() {
        let bytes = [
            frame(SETTINGS, 0, &[setting(4, 3), setting(3, 7)].concat()),
            frame(SETTINGS, ACK, &[]),
            // The payload of other frames may look like settings.
            frame(0, 0, &frame(SETTINGS, 0, &setting(3, 99))),
            frame(SETTINGS, 0, &setting(1, 5)),
            frame(SETTINGS, 0, &setting(3, 11)),
            frame(6, 0, &[0; 8]),
        ]
        .concat();
        for piece in 1..bytes.len() {
            let allowed = Allowed::new();
            let mut settings = Settings::new(Arc::clone(&allowed), 8192);
            bytes.chunks(piece).for_each(|piece| settings.read(piece));
            assert_eq!(allowed.streams(), 11, "{piece}");
        }
    }

    #[test]
    fn without_a_setting_there_is_no_limit() {
        let allowed = Allowed::new();
        let mut settings = Settings::new(Arc::clone(&allowed), 8192);
        assert_eq!(allowed.streams(), 0);
        settings.read(&frame(SETTINGS, 0, &[]));
        assert_eq!(allowed.streams(), u32::MAX);
        settings.read(&frame(SETTINGS, 0, &setting(3, 0)));
        assert_eq!(allowed.streams(), 0);
    }
}
