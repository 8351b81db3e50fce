//! Detects HTTP/2 trailers that h2 shortens, by their length on the wire.
//!
//! Of a header block over its limit h2 drops fields, and when the block is one of trailers it does not tell. So it gets a limit
//! of [`ROOM`] times what is configured, and the code that handles trailers rejects what is over the configured one. That leaves
//! trailers in which a single field is longer than the difference, since this field is dropped with all after it, and what is
//! before may be short. Such a field is too large for HPACK's table, so that it comes whole, with at least five bits for each
//! byte (RFC 7541, 6.2 and appendix B): its block is longer on the wire than half more than the limit, and no block that is
//! within the limit is.
//!
//! Which of the requests of a connection they belong to is not told by hyper. So after such a block all trailers count as
//! shortened: from an endpoint those of the requests that were there before it, from a client all that come on the connection,
//! since there the block may have been read before its request is known.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many header blocks of a connection were too long, of those that end a stream.
#[derive(Debug, Clone, Default)]
pub struct Long(Arc<AtomicU32>);

/// Follows the header blocks of a connection.
#[derive(Debug)]
pub struct Blocks {
    long: Long,
    most: usize,
    /// The length so far of the last block, if it is one that ends its stream.
    length: Option<usize>,
}

impl Long {
    /// How many there have been.
    pub fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Blocks {
    /// Counts in `long` those that are too long for heads of `max_head_size` bytes.
    pub const fn new(long: Long, max_head_size: usize) -> Self {
        Self {
            long,
            most: max_head_size + max_head_size / 2,
            length: None,
        }
    }

    /// A frame begins.
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
            // Before h2 has decoded it, in the same task.
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

/// The frames of a connection, by their headers.
#[derive(Debug)]
pub struct Frames {
    head: [u8; HEAD],
    filled: usize,
    /// What is left of the payload.
    payload: usize,
}

impl Frames {
    /// Nothing has come yet.
    pub const fn new() -> Self {
        Self {
            head: [0; HEAD],
            filled: 0,
            payload: 0,
        }
    }

    /// Tells `blocks` of the frames that begin in `bytes`.
    pub fn read(&mut self, mut bytes: &[u8], blocks: &mut Blocks) {
        loop {
            let skipped = self.payload.min(bytes.len());
            self.payload -= skipped;
            bytes = &bytes[skipped..];
            if bytes.is_empty() {
                return;
            }
            let taken = bytes.len().min(HEAD - self.filled);
            self.head[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
            self.filled += taken;
            bytes = &bytes[taken..];
            if self.filled == HEAD {
                let (payload, kind, flags) = parse_head(self.head);
                self.payload = payload;
                self.filled = 0;
                blocks.frame(kind, flags, payload);
            }
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
        // What looks like the head of a frame in the payload of another is none.
        let payload = [0, 0, 9, HEADERS, END_STREAM, 0, 0, 0, 1]
            .into_iter()
            .cycle();
        let mut frame = [&head[1..], &[kind, flags, 0, 0, 0, 1]].concat();
        frame.extend(payload.take(length));
        frame
    }

    #[test]
    fn blocks_that_end_a_stream_are_measured_in_whatever_pieces_they_come() {
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
            ("as long as it may be", end(&[8192]), 0),
            ("up to half more", end(&[8192, 4096]), 0),
            ("longer", end(&[8192, 4096, 1]), 1),
            ("longer at once", end(&[16_000]), 1),
            ("much longer counts once", end(&[16_000, 16_000, 16_000]), 1),
            ("a head with a body", head.clone(), 0),
            ("data", frame(0, END_STREAM, 16_000), 0),
            (
                "two, and others",
                [end(&[16_000]), head, end(&[100]), end(&[9, 16_000])].concat(),
                2,
            ),
        ];
        for (name, bytes, count) in table {
            for piece in [1, 2, 8, 9, 10, 4000, bytes.len()] {
                let long = Long::default();
                let (mut frames, mut blocks) = (Frames::new(), Blocks::new(long.clone(), LIMIT));
                for piece in bytes.chunks(piece) {
                    frames.read(piece, &mut blocks);
                }
                assert_eq!(long.count(), count, "{name}, {piece}");
            }
        }
    }

    /// What the threshold stands on: no field that h2 can drop alone is shorter on the wire, with a name of whatever length
    /// that is in the table, and no block within the limit is longer.
    #[test]
    fn the_threshold_is_between_what_is_within_the_limit_and_what_can_be_dropped_alone() {
        const TABLE: usize = 4096;
        for limit in [8192, 65_536, 1_048_576] {
            let most = Blocks::new(Long::default(), limit).most;
            let value = (ROOM as usize - 1) * limit - TABLE - 32;
            assert!(limit < most && most < value * 5 / 8, "{limit}");
        }
    }
}
