//! What was paid in and out over the last while. Pure: the time comes in as an argument, and so does the balance.

use std::time::Duration;

use tokio::time::Instant;

/// How a balance is made up of the [`SLOTS`] steps of a sliding window: what is older than the window does not count any
/// more.
///
/// The balance itself is with others, who change it without knowing the window. What has changed is that of the step which
/// runs.
#[derive(Debug)]
pub(super) struct Tokens {
    step: Duration,
    /// Of the step that runs it is not known yet, and 0 here.
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

    /// When the step that runs ends: until then the balance is as it stands.
    pub(super) fn ends(&self) -> Instant {
        self.began + self.step
    }

    /// Ends the steps that are over, at a balance of `balance`. Returns how much of it counts no more.
    pub(super) fn expire(&mut self, balance: i64, now: Instant) -> i64 {
        let steps = now.saturating_duration_since(self.began).as_nanos() / self.step.as_nanos();
        if steps == 0 {
            return 0;
        }
        if steps >= SLOTS as u128 {
            // However long ago it was.
            self.slots = [0; SLOTS];
            self.began = now;
            return balance;
        }
        // The others do not overflow: each was a part of a balance, and so was what they add up to.
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
