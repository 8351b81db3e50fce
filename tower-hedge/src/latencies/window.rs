//! The latencies of a sliding window, in slices. It reads no clock.

/// Counts by bucket, for a number of time slices.
#[derive(Debug)]
pub(super) struct Window {
    /// The slices, one after the other.
    counts: Box<[u32]>,
    buckets: usize,
    newest: usize,
}

impl Window {
    /// Creates a window of `slices` slices with `buckets` buckets, at least one of each.
    pub(super) fn new(slices: usize, buckets: usize) -> Self {
        let buckets = buckets.max(1);
        Self {
            counts: vec![0; slices.max(1) * buckets].into(),
            buckets,
            newest: 0,
        }
    }

    pub(super) fn slices(&self) -> usize {
        self.counts.len() / self.buckets
    }

    /// Returns the counts of the newest slice.
    pub(super) fn newest(&mut self) -> &mut [u32] {
        &mut self.counts[self.newest * self.buckets..][..self.buckets]
    }

    /// Starts an empty slice in place of the oldest one.
    pub(super) fn advance(&mut self) {
        self.newest = (self.newest + 1) % self.slices();
        self.newest().fill(0);
    }

    /// Returns the bucket of the `quantile` of all latencies, or `None` if there are fewer than `min`, or none. A
    /// `quantile` outside 0 to 1 is clamped.
    pub(super) fn quantile(&self, quantile: f64, min: u64) -> Option<usize> {
        let total = (0..self.buckets).map(|bucket| self.count(bucket)).sum();
        if total < min.max(1) {
            return None;
        }
        let rank = ((quantile * total as f64).ceil() as u64).clamp(1, total);
        let mut seen = 0;
        (0..self.buckets).find(|&bucket| {
            seen += self.count(bucket);
            seen >= rank
        })
    }

    /// Returns the count of a bucket in all slices.
    fn count(&self, bucket: usize) -> u64 {
        let slices = self.counts[bucket..].iter().step_by(self.buckets);
        slices.map(|&count| u64::from(count)).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::buckets::{BUCKETS, PARTS, bucket, longest};
    use super::*;

    const SLICES: usize = 3;

    proptest! {
        /// Compares with the sorted list of all latencies of the last slices.
        #[test]
        fn a_quantile_matches_the_sorted_latencies_within_a_64th(
            slices in prop::collection::vec(prop::collection::vec(0_u64..10_000_000, 0..40), 1..6),
            quantile in 0.0..=1.0,
            min in 0_u64..60,
        ) {
            let mut window = Window::new(SLICES, BUCKETS);
            for slice in &slices {
                window.advance();
                for &micros in slice {
                    window.newest()[bucket(Duration::from_micros(micros))] += 1;
                }
            }
            let oldest = slices.len().saturating_sub(SLICES);
            let mut kept = slices[oldest..].concat();
            kept.sort_unstable();
            let told = window.quantile(quantile, min).map(longest);

            if kept.is_empty() || (kept.len() as u64) < min {
                prop_assert_eq!(told, None);
            } else {
                let rank = (quantile * kept.len() as f64).ceil() as usize;
                let right = Duration::from_micros(kept[rank.max(1) - 1]);
                let told = told.unwrap();
                prop_assert!(
                    told >= right && told <= right + right / PARTS as u32,
                    "{told:?} instead of {right:?}"
                );
            }
        }
    }
}
