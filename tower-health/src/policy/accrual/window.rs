use std::time::Duration;

use tokio::time::Instant;

/// Successes and failures in a sliding window of [`STEPS`] steps.
#[derive(Debug, Clone)]
pub(super) struct Window {
    step: Duration,
    steps: [(u64, u64); STEPS],
    /// The current step, and when it began; `None` if nothing was recorded yet.
    current: usize,
    began: Option<Instant>,
}

impl Window {
    pub(super) fn new(window: Duration) -> Self {
        Self {
            step: window / STEPS as u32,
            steps: [(0, 0); STEPS],
            current: 0,
            began: None,
        }
    }

    pub(super) fn record(&mut self, success: bool, now: Instant) {
        self.expire(now);
        let (successes, failures) = &mut self.steps[self.current];
        *successes += u64::from(success);
        *failures += u64::from(!success);
    }

    /// Records successes of the current step.
    pub(super) fn succeeded(&mut self, successes: u64) {
        self.steps[self.current].0 += successes;
    }

    /// Returns when the current step ends; `None` if nothing was recorded yet.
    pub(super) fn step_ends(&self) -> Option<Instant> {
        self.began?.checked_add(self.step)
    }

    /// Returns successes and failures in the window that ends with the last record.
    pub(super) fn totals(&self) -> (u64, u64) {
        self.steps
            .iter()
            .fold((0, 0), |sum, step| (sum.0 + step.0, sum.1 + step.1))
    }

    fn expire(&mut self, now: Instant) {
        let began = *self.began.get_or_insert(now);
        let passed = now.saturating_duration_since(began).as_nanos() / self.step.as_nanos();
        if passed >= STEPS as u128 {
            self.steps = [(0, 0); STEPS];
            self.began = Some(now);
            return;
        }
        for _ in 0..passed {
            self.current = (self.current + 1) % STEPS;
            self.steps[self.current] = (0, 0);
        }
        self.began = Some(began + self.step * passed as u32);
    }
}

const STEPS: usize = 10;
