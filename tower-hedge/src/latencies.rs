//! How long requests take, and from when on one is slow. Pure: the time comes in as an argument.

use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::time::Instant;

/// The latencies of the last period, by which requests are judged, and those of the running one.
#[derive(Debug)]
pub(crate) struct Latencies {
    percentile: f64,
    min_data_points: u64,
    period: Duration,
    last: Histogram<u64>,
    running: Histogram<u64>,
    /// When the running period began.
    began: Instant,
    /// From when on a request is slow. Found once per period, as `last` does not change within one.
    slow: Option<Duration>,
}

impl Latencies {
    pub(crate) fn new(
        percentile: f64,
        min_data_points: u64,
        period: Duration,
        now: Instant,
    ) -> Self {
        Self {
            percentile,
            min_data_points,
            period,
            last: histogram(),
            running: histogram(),
            began: now,
            slow: None,
        }
    }

    /// Adds to the last period.
    pub(crate) fn preset(&mut self, latencies: impl IntoIterator<Item = Duration>) {
        for latency in latencies {
            self.last.saturating_record(micros(latency));
        }
        self.find_slow();
    }

    pub(crate) fn record(&mut self, latency: Duration, now: Instant) {
        self.rotate(now);
        self.running.saturating_record(micros(latency));
    }

    /// From when on a request is slow; `None` if too little is known.
    pub(crate) fn slow(&mut self, now: Instant) -> Option<Duration> {
        self.rotate(now);
        self.slow
    }

    fn rotate(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.began);
        if age < self.period {
            return;
        }
        if age < self.period.saturating_mul(2) {
            std::mem::swap(&mut self.last, &mut self.running);
            self.began += self.period;
        } else {
            // The period before this one saw no request.
            self.last.reset();
            self.began = now;
        }
        self.running.reset();
        self.find_slow();
    }

    fn find_slow(&mut self) {
        let known = !self.last.is_empty() && self.last.len() >= self.min_data_points;
        self.slow =
            known.then(|| Duration::from_micros(self.last.value_at_quantile(self.percentile)));
    }
}

/// Of one size, whatever it counts: 1 µs to an hour, exact to 1 %.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 3_600_000_000, 2).expect("constant bounds are valid")
}

fn micros(latency: Duration) -> u64 {
    u64::try_from(latency.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const PERIOD: Duration = Duration::from_secs(10);

    fn assert_about(slow: Option<Duration>, expected: Duration) {
        let slow = slow.expect("enough is known");
        assert!(
            slow >= expected && slow <= expected.mul_f64(1.01),
            "{slow:?} instead of {expected:?}"
        );
    }

    #[test]
    fn a_period_is_judged_by_the_one_before() {
        let start = Instant::now();
        let mut latencies = Latencies::new(0.9, 10, PERIOD, start);
        for n in 1..=100 {
            latencies.record(MS * n, start);
        }
        assert_eq!(latencies.slow(start + PERIOD - MS), None);
        assert_about(latencies.slow(start + PERIOD), MS * 90);
        latencies.record(MS, start + PERIOD);
        assert_about(latencies.slow(start + PERIOD * 2 - MS), MS * 90);
        assert_eq!(
            latencies.slow(start + PERIOD * 2),
            None,
            "one latency is too few"
        );
    }

    #[test]
    fn what_is_older_is_forgotten() {
        let start = Instant::now();
        let mut latencies = Latencies::new(0.5, 1, PERIOD, start);
        latencies.record(MS, start);
        assert_eq!(latencies.slow(start + PERIOD * 2), None);
        assert_eq!(
            latencies.slow(start + PERIOD * 3),
            None,
            "nor does it come back"
        );
    }

    #[test]
    fn no_parameter_panics() {
        let start = Instant::now();
        for percentile in [f64::NAN, -1.0, 0.0, 2.0, f64::INFINITY] {
            for period in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
                for min_data_points in [0, u64::MAX] {
                    let mut latencies = Latencies::new(percentile, min_data_points, period, start);
                    latencies.record(Duration::MAX, start);
                    latencies.record(Duration::ZERO, start + PERIOD);
                    latencies.slow(start + PERIOD);
                    latencies.slow(start);
                }
            }
        }
    }

    #[test]
    fn a_period_of_zero_knows_nothing() {
        let start = Instant::now();
        let mut latencies = Latencies::new(0.5, 0, Duration::ZERO, start);
        latencies.record(MS, start);
        assert_eq!(latencies.slow(start), None);
    }
}
