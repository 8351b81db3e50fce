use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the frames of both bodies of one call, so that neither times out as idle while the other is active.
///
/// In a bidirectional stream, one direction may be silent for long while the other is active. Give the same pulse to
/// [`TimeoutBody::pulse`](super::TimeoutBody::pulse) of the request body, and put it into the request's extensions,
/// where [`BodyTimeout`](super::BodyTimeout) finds it for the response body. When an idle timeout expires, it restarts
/// if there was a frame in either direction meanwhile. So a silent call fails after one to two times the timeout.
///
/// # Implementation notes
///
/// A frame increments a counter and does not read the clock. The counter needs no ordering with other memory: a frame
/// that an expiring timeout misses in a race is seen when it next expires.
#[derive(Clone, Debug, Default)]
pub struct Pulse {
    beats: Arc<AtomicUsize>,
    seen: usize,
}

impl Pulse {
    /// Creates a pulse that has counted no frames.
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether a frame was counted since the last call on this clone.
    pub(super) fn has_beaten(&mut self) -> bool {
        let beats = self.beats.load(Ordering::Relaxed);
        std::mem::replace(&mut self.seen, beats) != beats
    }
}
