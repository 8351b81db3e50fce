use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the frames of both bodies of one call, so that neither is idle while the other is not.
///
/// In a stream both ways one side may have nothing to say for long while the other one speaks. Give the same pulse to
/// [`TimeoutBody::pulse`](super::TimeoutBody::pulse) of the request's body, and put it among the request's extensions, where
/// [`BodyTimeout`](super::BodyTimeout) takes it for the response's body. An idle timeout that passes then starts again if there
/// was a frame either way meanwhile: so a call ends after once to twice the timeout without any.
///
/// # Implementation notes
///
/// A frame adds to a counter and reads no clock. The order of the counter and of other memory does not matter: what a
/// timeout misses by a race it sees at its next look.
#[derive(Clone, Debug, Default)]
pub struct Pulse {
    beats: Arc<AtomicUsize>,
    seen: usize,
}

impl Pulse {
    /// A pulse without a beat.
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether there was a beat since the last time that this clone was asked.
    pub(super) fn has_beaten(&mut self) -> bool {
        let beats = self.beats.load(Ordering::Relaxed);
        std::mem::replace(&mut self.seen, beats) != beats
    }
}
