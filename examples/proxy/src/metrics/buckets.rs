//! The buckets of latency histograms.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::family::MetricConstructor;

use super::latency::Latency;

/// Creates histograms with the same buckets.
#[derive(Debug, Clone)]
pub(super) struct Buckets(Arc<[f64]>);

impl Buckets {
    /// Creates buckets that reach past `longest`.
    pub(super) fn past(longest: Duration) -> Self {
        Self(buckets(longest).into())
    }
}

impl MetricConstructor<Latency> for Buckets {
    fn new_metric(&self) -> Latency {
        Latency::new(Arc::clone(&self.0))
    }
}

/// Returns the upper bounds of the buckets in seconds: from half a millisecond to more than any timeout, so that
/// requests that time out are not beyond the last bucket.
fn buckets(longest: Duration) -> Vec<f64> {
    let mut buckets = vec![
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0,
        60.0, 300.0, 600.0,
    ];
    let mut last = 600.0;
    while last <= longest.as_secs_f64() {
        last *= 2.0;
        buckets.push(last);
    }
    buckets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_reach_past_every_timeout() {
        for seconds in [1, 15, 300, 599, 600, 601, 3600, 24 * 60 * 60] {
            let buckets = buckets(Duration::from_secs(seconds));
            assert!(buckets.is_sorted());
            let past = buckets.last().copied().unwrap() > seconds as f64;
            assert!(past, "{seconds}: {buckets:?}");
            assert!(buckets.len() < 30);
        }
        // A timeout has a bucket that ends before it, so that requests that timed out are distinguished from those in
        // time.
        assert!(buckets(Duration::ZERO).contains(&10.0));
    }
}
