//! Measures latencies, and computes the threshold above which a request is slow. It reads no clock: the time is an
//! argument.
//!
//! No thread waits for a lock. The threshold is an atomic; latencies are recorded in counters. Once per slice of
//! the window, the first thread that notices its end moves the counters into the window and computes the next
//! threshold; until then, the other threads use the previous one.

mod buckets;
mod counts;
mod window;

use std::sync::TryLockError;
use std::time::Duration;

use tokio::time::Instant;

#[cfg(not(tower_loom))]
use self::buckets::BUCKETS;
use self::buckets::{bucket, longest};
use self::counts::{Counts, shard, shards};
use self::window::Window;
use crate::sync::{AtomicU64, Mutex, Ordering};

/// When a request is slow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slow {
    /// The percentile of recent latencies that it exceeds.
    pub(crate) percentile: f64,
    /// The minimum number of recent latencies; with fewer, no request is slow.
    pub(crate) min_data_points: u64,
    /// The minimum latency of a slow request.
    pub(crate) floor: Duration,
    /// The number and length of the slices that count as recent. If the length is zero, no latency is recent.
    pub(crate) slices: usize,
    pub(crate) slice: Duration,
}

/// The latencies of the recent slices, which give the threshold, and those of the current slice.
#[derive(Debug)]
pub(crate) struct Latencies {
    slow: Slow,
    /// The latency above which a request is slow, in nanoseconds; [`UNKNOWN`] if there are too few samples.
    threshold: AtomicU64,
    start: Instant,
    /// When the current slice ends, in nanoseconds since `start`. Written with `window` locked.
    slice_end: AtomicU64,
    running: Counts,
    window: Mutex<Window>,
}

impl Latencies {
    pub(crate) fn new(slow: Slow, now: Instant) -> Self {
        Self {
            slow,
            threshold: AtomicU64::new(UNKNOWN),
            start: now,
            slice_end: AtomicU64::new(nanos(slow.slice)),
            running: Counts::new(shards(), BUCKETS),
            window: Mutex::new(Window::new(slow.slices, BUCKETS)),
        }
    }

    /// Adds latencies to the last slice.
    pub(crate) fn preset(&self, latencies: impl IntoIterator<Item = Duration>) {
        for latency in latencies {
            self.running.add(0, bucket(latency));
        }
        self.with_window(|window| {
            self.running.drain_into(window.newest());
            self.update_threshold(window);
        });
    }

    #[inline]
    pub(crate) fn record(&self, latency: Duration, now: Instant) {
        self.rotate(now);
        self.running.add(shard(), bucket(latency).min(BUCKETS - 1));
    }

    /// Returns the latency above which a request is slow; `None` if there are too few samples.
    #[inline]
    pub(crate) fn slow(&self, now: Instant) -> Option<Duration> {
        self.rotate(now);
        match self.threshold.load(Ordering::Relaxed) {
            UNKNOWN => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    #[inline]
    fn rotate(&self, now: Instant) {
        let now = nanos(now.saturating_duration_since(self.start));
        if now >= self.slice_end.load(Ordering::Relaxed) {
            self.with_window(|window| self.end_slice(window, now));
        }
    }

    #[cold]
    fn end_slice(&self, window: &mut Window, now: u64) {
        let slice_end = self.slice_end.load(Ordering::Relaxed);
        let Some(late) = now.checked_sub(slice_end) else {
            return; // another thread has ended the slice
        };
        window.advance();
        self.running.drain_into(window.newest());
        let slice = nanos(self.slow.slice).max(1);
        // Skips slices without a request.
        let missed = late / slice;
        for _ in 0..missed.min(window.slices() as u64) {
            window.advance();
        }
        let next = slice_end.saturating_add(slice.saturating_mul(missed + 1));
        self.slice_end.store(next, Ordering::Relaxed);
        self.update_threshold(window);
    }

    fn update_threshold(&self, window: &Window) {
        let Slow {
            percentile,
            min_data_points,
            floor,
            slice,
            ..
        } = self.slow;
        let bucket = window
            .quantile(percentile, min_data_points)
            .filter(|_| !slice.is_zero());
        let threshold = match bucket {
            Some(bucket) => nanos(longest(bucket).max(floor)).max(UNKNOWN + 1),
            None => UNKNOWN,
        };
        self.threshold.store(threshold, Ordering::Relaxed);
    }

    /// Runs `f` unless another thread holds the lock.
    fn with_window(&self, f: impl FnOnce(&mut Window)) {
        match self.window.try_lock() {
            Ok(mut window) => f(&mut window),
            Err(TryLockError::Poisoned(window)) => f(&mut window.into_inner()),
            Err(TryLockError::WouldBlock) => {}
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

const UNKNOWN: u64 = 0;
/// Loom tracks every atomic, so its tests use few buckets.
#[cfg(tower_loom)]
const BUCKETS: usize = 2;

#[cfg(all(test, not(tower_loom)))]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const PERIOD: Duration = Duration::from_secs(10);

    fn latencies(percentile: f64, min_data_points: u64, slice: Duration) -> (Latencies, Instant) {
        let now = Instant::now();
        let slow = Slow {
            percentile,
            min_data_points,
            floor: Duration::ZERO,
            slices: 1,
            slice,
        };
        (Latencies::new(slow, now), now)
    }

    fn assert_about(slow: Option<Duration>, expected: Duration) {
        let slow = slow.expect("there are enough samples");
        assert!(
            slow >= expected && slow <= expected + expected / 64,
            "{slow:?} instead of {expected:?}"
        );
    }

    #[test]
    fn the_threshold_comes_from_the_previous_period() {
        let (latencies, start) = latencies(0.9, 10, PERIOD);
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
    fn a_window_of_slices_slides() {
        let start = Instant::now();
        let slow = Slow {
            percentile: 1.0,
            min_data_points: 1,
            floor: Duration::ZERO,
            slices: 3,
            slice: PERIOD,
        };
        let latencies = Latencies::new(slow, start);
        // The slowest latency of the last three slices.
        let slowest = [None, Some(6), Some(6), Some(6), Some(5), Some(4)];
        for (n, slowest) in (0..).zip(slowest) {
            let now = start + PERIOD * n;
            match slowest {
                Some(ms) => assert_about(latencies.slow(now), MS * ms),
                None => assert_eq!(latencies.slow(now), None),
            }
            latencies.record(MS * (6 - n), now);
        }
        // From here on there are no further requests.
        assert_about(latencies.slow(start + PERIOD * 6), MS * 3);
        assert_about(latencies.slow(start + PERIOD * 7), MS * 2);
        assert_eq!(latencies.slow(start + PERIOD * 9), None);
    }

    #[test]
    fn nothing_is_slow_before_the_floor() {
        let start = Instant::now();
        let slow = Slow {
            percentile: 0.5,
            min_data_points: 1,
            floor: 7 * MS,
            slices: 1,
            slice: PERIOD,
        };
        let latencies = Latencies::new(slow, start);
        latencies.preset([MS]);
        assert_eq!(latencies.slow(start), Some(7 * MS));
        latencies.preset([20 * MS, 20 * MS]);
        assert_about(latencies.slow(start), 20 * MS);
    }

    #[test]
    fn older_latencies_are_forgotten() {
        let (latencies, start) = latencies(0.5, 1, PERIOD);
        latencies.record(MS, start);
        assert_eq!(latencies.slow(start + PERIOD * 2), None);
        assert_eq!(
            latencies.slow(start + PERIOD * 3),
            None,
            "and they do not return"
        );
    }

    #[test]
    fn no_parameter_panics() {
        for percentile in [f64::NAN, -1.0, 0.0, 2.0, f64::INFINITY] {
            for period in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
                for min_data_points in [0, u64::MAX] {
                    let (latencies, start) = latencies(percentile, min_data_points, period);
                    latencies.record(Duration::MAX, start);
                    latencies.record(Duration::ZERO, start + PERIOD);
                    latencies.slow(start + PERIOD);
                    latencies.slow(start);
                }
            }
        }
    }

    #[test]
    fn with_a_period_of_zero_there_are_no_samples() {
        let (latencies, start) = latencies(0.5, 0, Duration::ZERO);
        latencies.record(MS, start);
        assert_eq!(latencies.slow(start), None);
        assert_eq!(latencies.slow(start + Duration::from_nanos(1)), None);
        latencies.preset([MS]);
        assert_eq!(latencies.slow(start), None);
    }
}

#[cfg(all(test, tower_loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    /// Two threads notice the end of a slice: it ends once, and what they record is in the next slice.
    #[test]
    fn a_slice_ends_once_whichever_thread_is_first() {
        loom::model(|| {
            let start = Instant::now();
            let slice = Duration::from_secs(1);
            let slow = Slow {
                percentile: 0.5,
                min_data_points: 2,
                floor: Duration::ZERO,
                slices: 1,
                slice,
            };
            let latencies = Arc::new(Latencies::new(slow, start));
            let late = start + slice;
            let other = {
                let latencies = Arc::clone(&latencies);
                thread::spawn(move || latencies.record(Duration::ZERO, late))
            };
            latencies.record(Duration::ZERO, late);
            other.join().unwrap();

            assert_eq!(
                latencies.slice_end.load(Ordering::Relaxed),
                2 * nanos(slice)
            );
            let mut window = Window::new(1, BUCKETS);
            latencies.with_window(|counted| {
                window.newest().copy_from_slice(counted.newest());
            });
            latencies.running.drain_into(window.newest());
            assert_eq!(window.quantile(0.5, 2), Some(0), "both are counted");
            assert_eq!(window.quantile(0.5, 3), None, "and only once");
        });
    }
}
