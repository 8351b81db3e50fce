//! Log-linear buckets of latencies, as in HDR histograms.
//!
//! Each power of two is divided into [`PARTS`] buckets of equal width. Finding the bucket takes a handful of
//! instructions, and no bucket is wider than 1/[`PARTS`] (1.6 %) of the latencies in it.

use std::time::Duration;

/// Returns the bucket of `latency`. Latencies of more than an [hour](MAX_MICROS) are in the last bucket.
pub(super) fn bucket(latency: Duration) -> usize {
    bucket_of(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX))
}

/// Returns the longest latency of a bucket.
pub(super) const fn longest(bucket: usize) -> Duration {
    let bucket = bucket as u64;
    let shift = (bucket / PARTS).saturating_sub(1);
    let micros = ((bucket - shift * PARTS + 1) << shift) - 1;
    Duration::from_micros(if micros < MAX_MICROS {
        micros
    } else {
        MAX_MICROS
    })
}

const fn bucket_of(micros: u64) -> usize {
    let micros = if micros < MAX_MICROS {
        micros
    } else {
        MAX_MICROS
    };
    // Below 2 * PARTS, each microsecond has its own bucket. From there on the width doubles with each power of two.
    let shift = ((micros | PARTS).ilog2() - PARTS.ilog2()) as u64;
    (shift * PARTS + (micros >> shift)) as usize
}

/// The number of buckets.
pub(super) const BUCKETS: usize = bucket_of(MAX_MICROS) + 1;
pub(super) const PARTS: u64 = 64;
const MAX_MICROS: u64 = 3_600_000_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_bucket_begins_where_the_previous_one_ends() {
        for n in 0..BUCKETS {
            let longest = longest(n);
            assert_eq!(bucket(longest), n);
            let next = bucket(longest + Duration::from_micros(1));
            assert_eq!(next, (n + 1).min(BUCKETS - 1));
        }
        assert_eq!(longest(BUCKETS - 1), Duration::from_secs(3600));
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
    }

    proptest! {
        #[test]
        fn a_bucket_determines_a_latency_within_a_64th(micros in 0..=MAX_MICROS) {
            let latency = Duration::from_micros(micros);
            let told = longest(bucket(latency));
            prop_assert!(told >= latency && told <= latency + latency / PARTS as u32, "{told:?}");
        }
    }
}
