//! Counters that many threads update at once, on different cache lines.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

use crate::threads;

/// A value for each thread, up to the number of cores and [`STRIPES`]; further threads share them.
#[derive(Debug)]
pub(super) struct Stripes<T>(Box<[T]>);

impl<T> Stripes<T> {
    pub(super) fn new(stripe: impl FnMut() -> T) -> Self {
        let mut stripe = stripe;
        let number = threads::cores().min(STRIPES);
        Self((0..number).map(|_| stripe()).collect())
    }

    /// Returns the value of this thread.
    pub(super) fn own(&self) -> &T {
        &self.0[threads::index() % self.0.len()]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }
}

/// A number on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct CacheAligned(AtomicI64);

/// A sum of what all threads have added. A read may miss concurrent additions.
#[derive(Debug)]
struct Sum(Stripes<CacheAligned>);

impl Sum {
    fn add(&self, n: i64) {
        self.0.own().0.fetch_add(n, Ordering::Relaxed);
    }

    fn get(&self) -> i64 {
        let parts = self.0.iter().map(|part| part.0.load(Ordering::Relaxed));
        parts.fold(0, i64::wrapping_add)
    }
}

impl Default for Sum {
    fn default() -> Self {
        Self(Stripes::new(CacheAligned::default))
    }
}

/// A counter.
#[derive(Debug, Clone, Default)]
pub(super) struct Count(Arc<Sum>);

impl Count {
    pub(super) fn inc(&self) {
        self.0.add(1);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.get().cast_unsigned()
    }
}

impl EncodeMetric for Count {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        encoder.encode_counter::<NoLabelSet, _, u64>(&self.get(), None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Count {
    const TYPE: MetricType = MetricType::Counter;
}

/// A gauge that counts upwards and downwards. A thread may subtract what another has added.
#[derive(Debug, Clone, Default)]
pub(super) struct Level(Arc<Sum>);

impl Level {
    pub(super) fn inc(&self) {
        self.0.add(1);
    }

    pub(super) fn dec(&self) {
        self.0.add(-1);
    }

    pub(super) fn get(&self) -> i64 {
        self.0.get()
    }
}

impl EncodeMetric for Level {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        encoder.encode_gauge(&self.get())
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Level {
    const TYPE: MetricType = MetricType::Gauge;
}

/// More would cost more memory than the time they save is worth.
const STRIPES: usize = 8;

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text;
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::gauge::Gauge;
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn threads_add_up() {
        let (count, level) = (Count::default(), Level::default());
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| (0..100).for_each(|_| count.inc()));
                scope.spawn(|| (0..100).for_each(|_| level.inc()));
                scope.spawn(|| (0..99).for_each(|_| level.dec()));
            }
        });
        assert_eq!((count.get(), level.get()), (300, 3));
    }

    #[test]
    fn they_are_encoded_like_those_of_the_library() {
        let (count, counter) = (Count::default(), Counter::<u64>::default());
        let (level, gauge) = (Level::default(), Gauge::<i64>::default());
        for _ in 0..2 {
            count.inc();
            counter.inc();
            level.dec();
            gauge.dec();
        }
        assert_eq!(text_of(count), text_of(counter));
        let level = text_of(level);
        assert!(level.contains("it -2"), "{level}");
        assert_eq!(level, text_of(gauge));
    }

    fn text_of(
        metric: impl EncodeMetric + TypedMetric + fmt::Debug + Send + Sync + 'static,
    ) -> String {
        let mut registry = Registry::default();
        registry.register("it", "What it is", metric);
        let mut out = String::new();
        text::encode(&mut out, &registry).unwrap();
        out
    }
}
