//! The latency estimate of [`PeakEwma`](crate::PeakEwma), as a plain value without clock or service.
//!
//! The time is an argument, in nanoseconds since an arbitrary epoch that must be the same for all calls.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use tower_classify::Class;
//! use tower_load::estimate::Estimate;
//!
//! let estimate = Estimate::new(0, Duration::from_secs(10), Duration::from_millis(30));
//! estimate.begin(0);
//! estimate.end(0, Some(Class::Success), 50_000_000);
//! // 50 ms is a peak, so the estimate is set to it, and nothing is in flight.
//! assert_eq!(estimate.cost(50_000_000), 5e7);
//! ```

use std::sync::atomic::Ordering;
use std::time::Duration;

use tower_classify::{Class, Failure, Pushback};

use crate::penalty::{End, Penalty};
use crate::sync::{AtomicU64, AtomicUsize};

/// An [`Ewma`](crate::Ewma) of latencies that threads share without a lock, with a penalty for failures.
///
/// All atomic orderings are relaxed: each word is valid by itself, and no word is used to conclude anything about
/// another.
///
/// All words are in one cache line, which contains nothing else. A request writes to it three or four times.
#[derive(Debug)]
#[repr(align(128))]
pub struct Estimate {
    /// The upper half is the estimate in nanoseconds, as an `f32`; the lower half is the time of the last sample, in
    /// ticks.
    rtt: AtomicU64,
    pending: AtomicUsize,
    /// The time of the last response, or of the first request after it if none was in flight then. Nanoseconds.
    silent_since: AtomicU64,
    penalty: Penalty,
    /// Ticks per nanosecond. A decay time is 1,024 ticks.
    ticks: f64,
}

impl Estimate {
    /// Creates an estimate that is `rtt` until there is a measurement. It decays to 1/e in `decay`, where less than a
    /// millisecond counts as one millisecond. The penalty for failures has the same decay time, but
    /// at least 10 s and at most 100 s.
    pub fn new(now: u64, decay: Duration, rtt: Duration) -> Self {
        let ticks = TICKS_PER_DECAY / nanos(decay.max(MIN_DECAY));
        Self {
            rtt: AtomicU64::new(pack(nanos(rtt), tick(now, ticks))),
            pending: AtomicUsize::new(0),
            silent_since: AtomicU64::new(now),
            penalty: Penalty::new(decay),
            ticks,
        }
    }

    /// Records that a request was sent.
    #[inline]
    pub fn begin(&self, now: u64) {
        if self.pending.fetch_add(1, Ordering::Relaxed) == 0 {
            self.silent_since.store(now, Ordering::Relaxed);
        }
    }

    /// Records that the request sent at `began` is complete, with a result of this class, or `None` if it was dropped.
    /// Must be called once for each [`begin`](Self::begin).
    ///
    /// | class | effect |
    /// |---|---|
    /// | `Success` | the latency is added as a sample |
    /// | `Failure` of any kind, `Unsent` | counts as a failure |
    /// | `Failure` with a pushback `After(time)` | the same, and for that time, at most 300 s, the estimate is at least a year, so that the endpoint is picked only if there is no other |
    /// | `Ignored`, `None` | the latency is added as a sample if it is above the estimate |
    #[inline]
    pub fn end(&self, began: u64, class: Option<Class>, now: u64) {
        let class = class.unwrap_or(Class::Ignored);
        // First, because this write acquires the cache line.
        self.pending.fetch_sub(1, Ordering::Relaxed);
        if class.is_success() || class.is_failure() {
            self.silent_since.store(now, Ordering::Relaxed);
        }
        match class {
            Class::Success => {
                let estimate = self.sample(began, now, false);
                if !self.penalty.is_none() {
                    self.penalty.succeeded(End {
                        began,
                        now,
                        estimate,
                    });
                }
            }
            Class::Failure(failure) => self.fail(began, now, backoff(failure)),
            Class::Unsent => self.fail(began, now, None),
            // Neither a success nor a failure: it can only show that the service is slower than the estimate.
            _ => {
                self.sample(began, now, true);
            }
        }
    }

    /// Adds the latency as a sample; if `only_peak`, only if it is above the estimate. Returns the new estimate.
    #[inline]
    fn sample(&self, began: u64, now: u64, only_peak: bool) -> f64 {
        let sample = float(now.saturating_sub(began));
        let tick = tick(now, self.ticks);
        let mut word = self.rtt.load(Ordering::Relaxed);
        loop {
            let (weight, estimate) = decayed(word, tick);
            let next = if sample > estimate {
                sample
            } else if only_peak {
                return estimate;
            } else {
                estimate + sample * (1.0 - weight)
            };
            let packed = pack(next, latest(word, tick));
            if packed == word {
                return next;
            }
            match self
                .rtt
                .compare_exchange_weak(word, packed, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return next,
                Err(current) => word = current,
            }
        }
    }

    /// Records a failure. It says nothing about the latency of responses, so the estimate is unchanged and goes on
    /// decaying.
    #[cold]
    fn fail(&self, began: u64, now: u64, backoff: Option<Duration>) {
        let word = self.rtt.load(Ordering::Relaxed);
        let (_, estimate) = decayed(word, tick(now, self.ticks));
        let end = End {
            began,
            now,
            estimate,
        };
        self.penalty.failed(end, backoff);
    }

    /// Returns the cost of another request: the estimate in nanoseconds, times the number of requests in flight plus
    /// one.
    #[inline]
    pub fn cost(&self, now: u64) -> f64 {
        let word = self.rtt.load(Ordering::Relaxed);
        let (_, mut rtt) = decayed(word, tick(now, self.ticks));
        let pending = self.pending.load(Ordering::Relaxed);
        if !self.penalty.is_none() {
            rtt = self.penalty.apply(rtt, pending > 0, now);
        }
        if pending > 0 {
            // At least one request has been in flight for this long without a response, unless it was dropped.
            let silence = now.saturating_sub(self.silent_since.load(Ordering::Relaxed));
            rtt = rtt.max(float(silence));
        }
        rtt * (pending as f64 + 1.0)
    }
}

/// Returns the time for which the server asks to receive no requests.
fn backoff(failure: Failure) -> Option<Duration> {
    match failure.pushback()? {
        Pushback::After(backoff) => Some(backoff),
        // Only forbids retrying this request.
        Pushback::Never => None,
    }
}

fn pack(value: f64, tick: u32) -> u64 {
    u64::from((value as f32).to_bits()) << 32 | u64::from(tick)
}

/// Returns the remaining share of the estimate, and the decayed estimate.
#[inline]
fn decayed(word: u64, tick: u32) -> (f64, f64) {
    let value = f64::from(f32::from_bits((word >> 32) as u32));
    let elapsed = tick.wrapping_sub(word as u32);
    if elapsed == 0 || elapsed >= EARLIER {
        return (1.0, value);
    }
    let weight = (-f64::from(elapsed) / TICKS_PER_DECAY).exp();
    (weight, value * weight)
}

/// Returns the later of the word's time and `tick`.
fn latest(word: u64, tick: u32) -> u32 {
    if tick.wrapping_sub(word as u32) >= EARLIER {
        word as u32
    } else {
        tick
    }
}

/// Converts to ticks, which wrap around: after four million decay times without a sample, the elapsed time appears
/// short.
fn tick(nanos: u64, ticks: f64) -> u32 {
    (nanos as i64 as f64 * ticks) as i64 as u32
}

/// Converts nanoseconds, where more than 2⁶³, which is 292 years, count as 2⁶³. The conversion of a signed integer is a
/// single instruction.
fn float(nanos: u64) -> f64 {
    nanos.min(i64::MAX as u64) as i64 as f64
}

fn nanos(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e9
}

const TICKS_PER_DECAY: f64 = 1024.0;
const MIN_DECAY: Duration = Duration::from_millis(1);
/// A difference of at least this means a time before the last sample: a thread read the clock earlier and wrote later.
const EARLIER: u32 = u32::MAX - 64 * 1024;

#[cfg(all(test, tower_loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::thread;
    use tower_classify::FailureKind;

    use super::*;

    const FAILED: Option<Class> = Some(Class::failure(FailureKind::Unknown));

    /// Two responses arrive at the same time: both are counted, and the slower one is not overwritten.
    #[test]
    fn the_slowest_of_concurrent_responses_counts() {
        loom::model(|| {
            let second = Duration::from_secs(1);
            let estimate = Arc::new(Estimate::new(0, second, Duration::ZERO));
            let respond = |estimate: &Estimate, took: u64| {
                estimate.begin(0);
                estimate.end(0, Some(Class::Success), took);
            };
            let other = {
                let estimate = Arc::clone(&estimate);
                thread::spawn(move || respond(&estimate, 1_000))
            };
            respond(&estimate, 2_000);
            other.join().unwrap();
            assert_eq!(estimate.pending.load(Ordering::Relaxed), 0);
            assert_eq!(estimate.cost(2_000), 2_000.0);
        });
    }

    /// Two requests that were in flight together fail at the same time: they count as one failure in every
    /// interleaving.
    #[test]
    fn concurrent_failures_count_as_one() {
        loom::model(|| {
            let second = Duration::from_secs(1);
            let estimate = Arc::new(Estimate::new(0, second, second));
            let now = 1_000_000_000;
            (0..2).for_each(|_| estimate.begin(0));
            let other = {
                let estimate = Arc::clone(&estimate);
                thread::spawn(move || estimate.end(0, FAILED, now))
            };
            estimate.end(0, FAILED, now);
            other.join().unwrap();
            // The initial estimate of 1 s has decayed to 1/e; but the failure took 1 s.
            let cost = estimate.cost(now) / 1e9;
            assert!((cost - 1.0).abs() < 0.01, "{cost}");
        });
    }

    /// A failure and a success, both of requests sent after the last failure, are recorded in either order.
    #[test]
    fn a_failure_is_not_lost_to_a_success() {
        loom::model(|| {
            let second = Duration::from_secs(1);
            let estimate = Arc::new(Estimate::new(0, second, second));
            (0..3).for_each(|_| estimate.begin(0));
            estimate.end(0, FAILED, 0);
            let other = {
                let estimate = Arc::clone(&estimate);
                thread::spawn(move || estimate.end(0, Some(Class::Success), 0))
            };
            estimate.end(0, FAILED, 0);
            other.join().unwrap();
            // Failure first: 2 · 8 = 16, and the success leaves √16 = 4. Success first: √2 = 1.4, times 8 is 11.3.
            let cost = estimate.cost(0) / 1e9;
            assert!(
                [4.0, 11.3]
                    .iter()
                    .any(|expected| (cost / expected - 1.0).abs() < 0.02),
                "{cost}"
            );
        });
    }
}
