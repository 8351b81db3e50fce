//! What was paid in and out over the last while. Pure: the time comes in as an argument.

use std::time::Duration;

use tokio::time::Instant;

/// The balance of a sliding window, in [`SLOTS`] steps: what is older than the window does not count any more.
#[derive(Debug)]
pub(super) struct Tokens {
    step: Duration,
    slots: [i64; SLOTS],
    /// The slot of the step that runs, and when that began.
    current: usize,
    began: Instant,
}

impl Tokens {
    pub(super) fn new(window: Duration, now: Instant) -> Self {
        Self {
            step: window / SLOTS as u32,
            slots: [0; SLOTS],
            current: 0,
            began: now,
        }
    }

    /// For how long a slot is the newest one.
    pub(super) fn step(&self) -> Duration {
        self.step
    }

    /// Pays in, or out if negative.
    pub(super) fn add(&mut self, amount: i64, now: Instant) {
        self.expire(now);
        self.slots[self.current] = self.slots[self.current].saturating_add(amount);
    }

    pub(super) fn balance(&mut self, now: Instant) -> i64 {
        self.expire(now);
        self.slots
            .iter()
            .fold(0, |sum, &slot| sum.saturating_add(slot))
    }

    fn expire(&mut self, now: Instant) {
        let steps = now.saturating_duration_since(self.began).as_nanos() / self.step.as_nanos();
        if steps >= SLOTS as u128 {
            // However long ago it was.
            self.slots = [0; SLOTS];
            self.began = now;
            return;
        }
        for _ in 0..steps {
            self.current = (self.current + 1) % SLOTS;
            self.slots[self.current] = 0;
            self.began += self.step;
        }
    }
}

pub(super) const SLOTS: usize = 10;
