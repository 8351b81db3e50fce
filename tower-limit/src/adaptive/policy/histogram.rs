use std::time::Duration;

/// Counts latencies, for their quantiles: in 32 buckets per power of two, so that a quantile is off by at most a 64th.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    counts: Box<[u32]>,
    /// Those that are longer than any latency: of requests that were dropped.
    endless: u32,
    total: u32,
}

impl Histogram {
    pub(super) fn new() -> Self {
        Self {
            counts: vec![0; BUCKETS].into_boxed_slice(),
            endless: 0,
            total: 0,
        }
    }

    pub(super) fn record(&mut self, latency: Duration) {
        self.total += 1;
        self.counts[bucket(latency)] += 1;
    }

    /// Records a latency longer than any other.
    pub(super) const fn record_endless(&mut self) {
        self.total += 1;
        self.endless += 1;
    }

    /// Returns how many latencies were recorded. When [`is_full`](Self::is_full), no more may be.
    pub(super) const fn total(&self) -> u32 {
        self.total
    }

    pub(super) const fn is_full(&self) -> bool {
        self.total == u32::MAX
    }

    /// Returns the quantile in nanoseconds, which may be infinite; `None` without latencies.
    pub(super) fn quantile(&self, quantile: f64) -> Option<f64> {
        if self.total == 0 {
            return None;
        }
        let rank = (quantile * f64::from(self.total)).ceil().max(1.0);
        let mut up_to = 0.0;
        let found = self.counts.iter().position(|count| {
            up_to += f64::from(*count);
            up_to >= rank
        });
        Some(found.map_or(f64::INFINITY, middle))
    }

    pub(super) fn clear(&mut self) {
        self.counts.fill(0);
        (self.endless, self.total) = (0, 0);
    }
}

fn bucket(latency: Duration) -> usize {
    let nanos = u64::try_from(latency.as_nanos())
        .unwrap_or(u64::MAX)
        .min(LONGEST);
    if nanos < PER_OCTAVE {
        return nanos as usize;
    }
    let octave = nanos.ilog2() - PER_OCTAVE.ilog2();
    // The leading bit, and the five below it.
    (u64::from(octave) * PER_OCTAVE + (nanos >> octave)) as usize
}

/// Returns the middle of a bucket.
fn middle(bucket: usize) -> f64 {
    let bucket = bucket as u64;
    if bucket < PER_OCTAVE {
        return bucket as f64;
    }
    let octave = bucket / PER_OCTAVE - 1;
    let start = (bucket - octave * PER_OCTAVE) << octave;
    let width = 1_u64 << octave;
    start as f64 + (width - 1) as f64 / 2.0
}

const PER_OCTAVE: u64 = 32;
/// Longer latencies, of more than 18 minutes, are counted as this.
const LONGEST: u64 = (1 << 40) - 1;
/// For 40 octaves, of which the first six share one.
const BUCKETS: usize = (40 - 5 + 1) * PER_OCTAVE as usize;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn short_latencies_are_exact_and_long_ones_are_cut_off() {
        for nanos in 0..64 {
            assert_eq!(middle(bucket(Duration::from_nanos(nanos))), nanos as f64);
        }
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
    }

    #[test]
    fn dropped_requests_are_longer_than_any_other() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.quantile(0.5), None);
        histogram.record(Duration::MAX);
        histogram.record_endless();
        assert!(histogram.quantile(0.5).unwrap().is_finite());
        assert_eq!(histogram.quantile(0.6), Some(f64::INFINITY));
        histogram.clear();
        assert_eq!(histogram.quantile(0.6), None);
    }

    proptest! {
        /// Compares with a sorted list.
        #[test]
        fn quantiles_are_off_by_less_than_a_64th(
            mut latencies in prop::collection::vec(0_u64..1 << 40, 1..200),
            quantile in 0.0..=1.0_f64,
        ) {
            let mut histogram = Histogram::new();
            for latency in &latencies {
                histogram.record(Duration::from_nanos(*latency));
            }
            latencies.sort_unstable();
            let rank = (quantile * latencies.len() as f64).ceil().max(1.0) as usize;
            let exact = latencies[rank - 1] as f64;
            let found = histogram.quantile(quantile).unwrap();
            prop_assert!((found - exact).abs() <= exact / 64.0, "{} instead of {}", found, exact);
        }
    }
}
