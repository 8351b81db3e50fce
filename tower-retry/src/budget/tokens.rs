//! The deposits and withdrawals of a sliding window. Pure: the time and the balance are arguments.

use std::time::Duration;

use tokio::time::Instant;

/// Splits a balance into the contributions of the [`SLOTS`] steps of a sliding window, so that contributions older than the
/// window can be subtracted.
///
/// The balance itself is kept by the caller, and changed without the window. What has changed since the last step ended is the
/// contribution of the current step.
#[derive(Debug)]
pub(super) struct Tokens {
    step: Duration,
    /// The contribution of each step. That of the current step is 0 until the step ends.
    slots: [i64; SLOTS],
    /// The slot of the current step, and when that began.
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

    /// Returns the length of a step.
    pub(super) fn step(&self) -> Duration {
        self.step
    }

    /// Returns when the current step ends. Until then nothing expires.
    pub(super) fn ends(&self) -> Instant {
        self.began + self.step
    }

    /// Advances to the step of `now`, with the current balance. Returns how much of the balance has expired.
    pub(super) fn expire(&mut self, balance: i64, now: Instant) -> i64 {
        let steps = now.saturating_duration_since(self.began).as_nanos() / self.step.as_nanos();
        if steps == 0 {
            return 0;
        }
        if steps >= SLOTS as u128 {
            // All of it has expired. Also keeps the cost independent of the time that has passed.
            self.slots = [0; SLOTS];
            self.began = now;
            return balance;
        }
        // The sum does not overflow: it was part of an earlier balance.
        let others: i64 = self.slots.iter().sum();
        self.slots[self.current] = balance.saturating_sub(others);
        let mut expired: i64 = 0;
        for _ in 0..steps {
            self.current = (self.current + 1) % SLOTS;
            expired = expired.saturating_add(std::mem::take(&mut self.slots[self.current]));
            self.began += self.step;
        }
        expired
    }
}

pub(super) const SLOTS: usize = 10;
