//! A histogram that threads update without a lock.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

use super::stripes::Stripes;

/// A histogram of latencies.
///
/// That of `prometheus_client` has a mutex for which the requests of a route contend. Here a request adds to the count
/// and the sum of its bucket in the stripe of its thread. A concurrent read may see only one of the two, an error of at
/// most the requests in flight.
#[derive(Debug, Clone)]
pub(super) struct Latency(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    /// The upper bounds of the buckets in seconds, ascending; the last bucket has none.
    bounds: Arc<[f64]>,
    stripes: Stripes<Box<[Bucket]>>,
}

/// On cache lines of its own; a request writes to no others.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Bucket {
    count: AtomicU64,
    /// The sum of their latencies, in nanoseconds.
    nanos: AtomicU64,
}

impl Latency {
    pub(super) fn new(bounds: Arc<[f64]>) -> Self {
        let buckets = || (0..=bounds.len()).map(|_| Bucket::default()).collect();
        let stripes = Stripes::new(buckets);
        Self(Arc::new(Counts { bounds, stripes }))
    }

    pub(super) fn observe(&self, latency: Duration) {
        let Counts { bounds, stripes } = &*self.0;
        let seconds = latency.as_secs_f64();
        // Most requests fall into one of the first buckets.
        let bucket = bounds.iter().position(|bound| seconds <= *bound);
        let bucket = &stripes.own()[bucket.unwrap_or(bounds.len())];
        bucket.count.fetch_add(1, Ordering::Relaxed);
        let latency = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        bucket.nanos.fetch_add(latency, Ordering::Relaxed);
    }

    /// Returns the upper bound and the count of each bucket.
    fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = self.0.bounds.iter().copied().chain([f64::INFINITY]);
        let counts = (0..).map(|bucket| self.sum(|stripe| &stripe[bucket].count));
        bounds.zip(counts).collect()
    }

    fn nanos(&self) -> u64 {
        let buckets = 0..=self.0.bounds.len();
        let nanos = buckets.map(|bucket| self.sum(|stripe| &stripe[bucket].nanos));
        nanos.fold(0, u64::wrapping_add)
    }

    fn sum(&self, of: impl Fn(&[Bucket]) -> &AtomicU64) -> u64 {
        let counts = self.0.stripes.iter();
        let counts = counts.map(|stripe| of(stripe).load(Ordering::Relaxed));
        counts.fold(0, u64::wrapping_add)
    }
}

impl EncodeMetric for Latency {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let buckets = self.buckets();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = Duration::from_nanos(self.nanos());
        encoder.encode_histogram::<NoLabelSet>(sum.as_secs_f64(), count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Latency {
    const TYPE: MetricType = MetricType::Histogram;
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text;
    use prometheus_client::metrics::histogram::Histogram;
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn it_is_encoded_like_that_of_the_library() {
        let bounds = [0.001, 0.25, 1.0];
        let (ours, library) = (Latency::new(Arc::new(bounds)), Histogram::new(bounds));
        for millis in [0, 1, 2, 250, 251, 1000, 1500, 90_000] {
            let latency = Duration::from_millis(millis);
            ours.observe(latency);
            library.observe(latency.as_secs_f64());
        }
        let [ours, library] = [text_of(ours), text_of(library)];
        assert!(ours.contains("le=\"0.25\"} 4"), "{ours}");
        assert_eq!(ours, library);
    }

    fn text_of(
        metric: impl EncodeMetric + TypedMetric + fmt::Debug + Send + Sync + 'static,
    ) -> String {
        let mut registry = Registry::default();
        registry.register("took", "How long it took", metric);
        let mut out = String::new();
        text::encode(&mut out, &registry).unwrap();
        out
    }
}
