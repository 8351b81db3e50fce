//! Detects HTTP/2 trailers that h2 shortens, by their length on the wire.
//!
//! When a header block exceeds its limit, h2 drops fields, and for a block of trailers it does not report that. So h2
//! gets a limit of [`ROOM`] times the configured one, and the code that handles trailers rejects those over the
//! configured limit. That leaves trailers in which a single field is larger than the difference: h2 drops this field
//! and all after it, and the fields before it may be within the limit. Such a field does not fit in HPACK's table, so
//! it is sent literally, with at least five bits for each byte (RFC 7541, 6.2 and appendix B). Its block is therefore
//! longer on the wire than 1.5 times the limit, and no block within the limit is.
//!
//! hyper does not report to which request of a connection a block belongs. So after such a block, trailers count as
//! shortened: from an endpoint, those of the requests that were in flight before it; from a client, all later ones of
//! the connection, since the block may be read before its request is known.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The number of oversized header blocks on a connection, of those that end a stream.
#[derive(Debug, Clone, Default)]
pub struct OversizedTrailers(Arc<AtomicU32>);

/// Follows the header blocks of a connection.
#[derive(Debug)]
pub struct Blocks {
    long: OversizedTrailers,
    most: usize,
    /// The length so far of the current block, if it ends its stream.
    length: Option<usize>,
}

impl OversizedTrailers {
    /// Returns the number so far.
    pub fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Blocks {
    /// Counts in `long` the blocks that are too long for heads of `max_head_size` bytes.
    pub const fn new(long: OversizedTrailers, max_head_size: usize) -> Self {
        Self {
            long,
            most: max_head_size + max_head_size / 2,
            length: None,
        }
    }

    /// Reports the start of a frame.
    pub fn frame(&mut self, kind: u8, flags: u8, length: usize) {
        let before = match (kind, self.length) {
            (HEADERS, _) => (flags & END_STREAM != 0).then_some(0),
            (CONTINUATION, length) => length,
            _ => return,
        };
        self.length = before.map(|before| before + length);
        if before.is_some_and(|before| before <= self.most)
            && self.length.is_some_and(|length| length > self.most)
        {
            // This happens in the same task, before h2 decodes the block.
            self.long.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The length of the header of an HTTP/2 frame.
pub const HEAD: usize = 9;

/// Returns the length of the payload, the type and the flags from the header of an HTTP/2 frame (RFC 9113, 4.1).
pub const fn parse_head([a, b, c, kind, flags, ..]: [u8; HEAD]) -> (usize, u8, u8) {
    (
        (a as usize) << 16 | (b as usize) << 8 | c as usize,
        kind,
        flags,
    )
}

/// `N` bytes of a connection that belong together, and may be received in pieces.
#[derive(Debug)]
pub struct Part<const N: usize> {
    bytes: [u8; N],
    filled: usize,
}

impl<const N: usize> Part<N> {
    /// Creates a part of which nothing was received.
    pub const fn new() -> Self {
        Self {
            bytes: [0; N],
            filled: 0,
        }
    }

    /// Takes the part, or what is missing of it, from the start of `bytes`. Returns `None` while it is incomplete.
    pub fn take(&mut self, bytes: &mut &[u8]) -> Option<[u8; N]> {
        if self.filled == 0
            && let Some((whole, rest)) = bytes.split_first_chunk()
        {
            *bytes = rest;
            return Some(*whole);
        }
        self.take_piece(bytes)
    }

    #[cold]
    fn take_piece(&mut self, bytes: &mut &[u8]) -> Option<[u8; N]> {
        let taken = bytes.len().min(N - self.filled);
        let (piece, rest) = bytes.split_at(taken);
        self.bytes[self.filled..self.filled + taken].copy_from_slice(piece);
        self.filled = (self.filled + taken) % N;
        *bytes = rest;
        (self.filled == 0 && taken > 0).then_some(self.bytes)
    }
}

impl<const N: usize> Default for Part<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// Finds the frames of a connection by their headers.
#[derive(Debug)]
pub struct Frames {
    head: Part<HEAD>,
    /// The number of bytes left of the payload.
    payload: usize,
}

impl Frames {
    /// Creates a parser at the start of a connection.
    pub const fn new() -> Self {
        Self {
            head: Part::new(),
            payload: 0,
        }
    }

    /// Reports to `blocks` the frames that begin in `bytes`.
    pub fn read(&mut self, mut bytes: &[u8], blocks: &mut Blocks) {
        loop {
            let skipped = self.payload.min(bytes.len());
            self.payload -= skipped;
            bytes = &bytes[skipped..];
            let Some(head) = self.head.take(&mut bytes) else {
                return;
            };
            let (payload, kind, flags) = parse_head(head);
            self.payload = payload;
            blocks.frame(kind, flags, payload);
        }
    }
}

impl Default for Frames {
    fn default() -> Self {
        Self::new()
    }
}

/// The ratio of the limit that h2 gets to the configured one.
pub const ROOM: u32 = 4;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
        let head = (length as u32).to_be_bytes();
        // Bytes of a payload that look like the header of a frame are not one.
        let payload = [0, 0, 9, HEADERS, END_STREAM, 0, 0, 0, 1]
            .into_iter()
            .cycle();
        let mut frame = [&head[1..], &[kind, flags, 0, 0, 0, 1]].concat();
        frame.extend(payload.take(length));
        frame
    }

    #[test]
    fn blocks_that_end_a_stream_are_measured_however_they_are_split() {
        const LIMIT: usize = 8192;
        let end = |lengths: &[usize]| {
            let (first, rest) = lengths.split_first().unwrap();
            let rest = rest.iter().map(|length| frame(CONTINUATION, 0, *length));
            [frame(HEADERS, END_STREAM, *first)]
                .into_iter()
                .chain(rest)
                .collect::<Vec<_>>()
                .concat()
        };
        let head = [frame(HEADERS, 0, 16_000), frame(CONTINUATION, 0, 16_000)].concat();
        let table = [
            ("at the limit", end(&[8192]), 0),
            ("at 1.5 times the limit", end(&[8192, 4096]), 0),
            ("longer", end(&[8192, 4096, 1]), 1),
            ("longer in one frame", end(&[16_000]), 1),
            ("much longer counts once", end(&[16_000, 16_000, 16_000]), 1),
            ("headers that do not end the stream", head.clone(), 0),
            ("data", frame(0, END_STREAM, 16_000), 0),
            (
                "two among other frames",
                [end(&[16_000]), head, end(&[100]), end(&[9, 16_000])].concat(),
                2,
            ),
        ];
        for (name, bytes, count) in table {
            for piece in [1, 2, 8, 9, 10, 4000, bytes.len()] {
                let long = OversizedTrailers::default();
                let (mut frames, mut blocks) = (Frames::new(), Blocks::new(long.clone(), LIMIT));
                for piece in bytes.chunks(piece) {
                    frames.read(piece, &mut blocks);
                }
                assert_eq!(long.count(), count, "{name}, {piece}");
            }
        }
    }

    /// Checks the basis of the threshold: no field that h2 can drop alone is shorter on the wire, with a name of any
    /// length in the table, and no block within the limit is longer.
    #[test]
    fn the_threshold_separates_valid_blocks_from_shortened_ones() {
        const TABLE: usize = 4096;
        for limit in [8192, 65_536, 1_048_576] {
            let most = Blocks::new(OversizedTrailers::default(), limit).most;
            let value = (ROOM as usize - 1) * limit - TABLE - 32;
            assert!(limit < most && most < value * 5 / 8, "{limit}");
        }
    }
}
