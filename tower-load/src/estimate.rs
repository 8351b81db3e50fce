//! How long a service takes, by what became of its requests. Pure: the time comes in as an argument.

use std::time::Duration;

use tokio::time::Instant;

use crate::ewma::Ewma;

#[derive(Debug)]
pub(crate) struct Estimate {
    /// Nanoseconds.
    rtt: Ewma,
    pending: usize,
    /// When the last answer came, or when the first request since then went out if none was in flight.
    silent_since: Instant,
}

/// What became of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    Answered,
    Failed,
    Dropped,
}

impl Estimate {
    pub(crate) fn new(now: Instant, decay: Duration, rtt: Duration) -> Self {
        Self {
            rtt: Ewma::new(now, decay, nanos(rtt)),
            pending: 0,
            silent_since: now,
        }
    }

    pub(crate) fn begin(&mut self, now: Instant) {
        if self.pending == 0 {
            self.silent_since = now;
        }
        self.pending += 1;
    }

    pub(crate) fn end(&mut self, began: Instant, outcome: Outcome, now: Instant) {
        self.pending -= 1;
        let took = nanos(now.saturating_duration_since(began));
        let estimate = self.rtt.get_at(now);
        let sample = match outcome {
            Outcome::Answered => took,
            Outcome::Failed => took.max((estimate * 2.0).min(estimate.max(nanos(WORST_FAILURE)))),
            // Neither an answer nor a failure: at most it tells that the service is slower than was thought.
            Outcome::Dropped if took > estimate => took,
            Outcome::Dropped => return,
        };
        self.rtt.add_peak(now, sample);
        if !matches!(outcome, Outcome::Dropped) {
            self.silent_since = self.silent_since.max(now);
        }
    }

    /// The estimate times the requests in flight and one.
    pub(crate) fn cost(&self, now: Instant) -> f64 {
        let mut rtt = self.rtt.get_at(now);
        if self.pending > 0 {
            // One of them is in flight for so long at least, or was until it was given up.
            rtt = rtt.max(nanos(now.saturating_duration_since(self.silent_since)));
        }
        rtt * (self.pending as f64 + 1.0)
    }
}

fn nanos(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e9
}

/// What linkerd2-proxy counts for any failure.
const WORST_FAILURE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn estimate(start: Instant) -> Estimate {
        Estimate::new(start, Duration::from_secs(10), 10 * MS)
    }

    fn assert_cost(estimate: &Estimate, now: Instant, expected: Duration) {
        let cost = estimate.cost(now);
        let expected = nanos(expected);
        assert!(
            (cost - expected).abs() < expected * 1e-6,
            "{cost} instead of {expected}"
        );
    }

    #[test]
    fn failures_double_it_up_to_a_bound() {
        let start = Instant::now();
        let mut estimate = estimate(start);
        let mut expected = 10 * MS;
        for _ in 0..2000 {
            estimate.begin(start);
            estimate.end(start, Outcome::Failed, start);
            expected = (2 * expected).min(5000 * MS);
            assert_cost(&estimate, start, expected);
        }
    }

    #[test]
    fn a_slow_failure_counts_with_its_time() {
        let start = Instant::now();
        let mut estimate = estimate(start);
        estimate.begin(start);
        let end = start + 60_000 * MS;
        estimate.end(start, Outcome::Failed, end);
        assert_cost(&estimate, end, 60_000 * MS);
    }

    #[test]
    fn a_dropped_request_only_raises_it() {
        let start = Instant::now();
        let mut estimate = estimate(start);
        estimate.begin(start);
        estimate.end(start, Outcome::Dropped, start + MS);
        let untouched = self::estimate(start);
        assert_eq!(estimate.cost(start + MS), untouched.cost(start + MS));
        estimate.begin(start);
        estimate.end(start, Outcome::Dropped, start + 20 * MS);
        assert_cost(&estimate, start + 20 * MS, 20 * MS);
    }

    #[test]
    fn silence_raises_it_while_requests_are_in_flight() {
        let start = Instant::now();
        let mut estimate = estimate(start);
        for at in [start, start + 900 * MS] {
            estimate.begin(at);
        }
        let now = start + 1000 * MS;
        assert_cost(&estimate, now, 3000 * MS);
        estimate.end(start + 900 * MS, Outcome::Answered, now);
        assert_cost(&estimate, now, 2 * 100 * MS);
        assert_cost(&estimate, now + 500 * MS, 2 * 500 * MS);
        estimate.end(start, Outcome::Dropped, now + 500 * MS);
        assert_cost(&estimate, now + 500 * MS, 1500 * MS);
    }
}
