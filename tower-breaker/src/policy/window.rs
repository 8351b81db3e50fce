use std::time::Duration;

use tokio::time::Instant;

/// `N` counts in a sliding window of [`STEPS`] steps.
#[derive(Debug, Clone)]
pub(crate) struct Window<const N: usize> {
    step: Duration,
    steps: [[u32; N]; STEPS],
    current: usize,
    /// When the current step began; `None` if nothing was recorded yet.
    began: Option<Instant>,
    /// The number of steps since the first record, the current one included; at most [`STEPS`].
    covered: u32,
}

impl<const N: usize> Window<N> {
    /// Creates a window of this length, which must be at least [`MIN_WINDOW`].
    pub(crate) fn new(window: Duration) -> Self {
        Self {
            step: window / STEPS as u32,
            steps: [[0; N]; STEPS],
            current: 0,
            began: None,
            covered: 1,
        }
    }

    /// Adds to the step at `now`.
    pub(crate) fn record(&mut self, counts: [u32; N], now: Instant) {
        self.advance(now);
        self.record_earlier(counts);
    }

    /// Adds to the step of the last record.
    pub(crate) fn record_earlier(&mut self, counts: [u32; N]) {
        let step = &mut self.steps[self.current];
        for (sum, count) in step.iter_mut().zip(counts) {
            *sum = sum.saturating_add(count);
        }
    }

    /// Moves the window to `now`, unless that is in the past.
    pub(crate) fn advance(&mut self, now: Instant) {
        let began = *self.began.get_or_insert(now);
        let passed = now.saturating_duration_since(began).as_nanos() / self.step.as_nanos();
        if passed >= STEPS as u128 {
            *self = Self::new(self.step * STEPS as u32);
            self.began = Some(now);
            return;
        }
        for _ in 0..passed {
            self.current = (self.current + 1) % STEPS;
            self.steps[self.current] = [0; N];
        }
        self.covered = (self.covered + passed as u32).min(STEPS as u32);
        self.began = Some(began + self.step * passed as u32);
    }

    /// Returns when the current step ends; `None` if nothing was recorded yet, or if it never ends.
    pub(crate) fn step_ends(&self) -> Option<Instant> {
        self.began?.checked_add(self.step)
    }

    /// Returns when the oldest step began that is later than the first record; `None` if nothing was recorded yet.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.began?.checked_sub(self.step * (self.covered - 1))
    }

    /// Returns the sums of the window that ends with the last record.
    pub(crate) fn totals(&self) -> [u64; N] {
        let mut totals = [0; N];
        for step in &self.steps {
            for (total, count) in totals.iter_mut().zip(step) {
                *total += u64::from(*count);
            }
        }
        totals
    }
}

/// The window moves in steps of a tenth of its length.
const STEPS: usize = 10;
/// A step has at least a nanosecond.
pub(crate) const MIN_WINDOW: Duration = Duration::from_nanos(STEPS as u64);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STEP: Duration = Duration::from_millis(10);

    proptest! {
        /// The oracle keeps each record with the number of its step.
        #[test]
        fn totals_are_those_of_the_last_ten_steps(
            records in prop::collection::vec((0_u64..150, 0_u32..9, 0_u32..9), 0..100),
        ) {
            let start = Instant::now();
            let mut now = start;
            let mut window = Window::new(STEP * 10);
            let mut oracle: Vec<(u128, [u32; 2])> = Vec::new();
            // The first step of the window, which begins anew after a pause of a whole window.
            let mut origin = now;
            for (index, (millis, a, b)) in records.into_iter().enumerate() {
                now += Duration::from_millis(millis);
                let step_of = |origin: Instant| (now - origin).as_nanos() / STEP.as_nanos();
                let last = oracle.last().map_or(0, |(step, _)| *step);
                if index == 0 || step_of(origin) >= last + 10 {
                    oracle.clear();
                    origin = now;
                }
                oracle.push((step_of(origin), [a, b]));
                window.record([a, b], now);
                let current = step_of(origin);
                let expected = oracle
                    .iter()
                    .filter(|(step, _)| step + 10 > current)
                    .fold([0, 0], |sum, (_, add)| [sum[0] + u64::from(add[0]), sum[1] + u64::from(add[1])]);
                prop_assert_eq!(window.totals(), expected);
                let oldest = origin + STEP * current.saturating_sub(9) as u32;
                prop_assert_eq!(window.oldest(), Some(oldest));
            }
        }
    }

    #[test]
    fn the_longest_window_does_not_overflow() {
        let mut window = Window::new(Duration::MAX);
        let now = Instant::now();
        window.record([1], now);
        window.record([1], now + Duration::from_secs(1 << 30));
        assert_eq!(window.totals(), [2]);
        assert_eq!(window.oldest(), Some(now));
    }
}
