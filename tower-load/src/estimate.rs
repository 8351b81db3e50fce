//! How long a service takes, by what became of its requests: what [`PeakEwma`](crate::PeakEwma) goes by, bare.
//!
//! Pure: the time comes in as an argument, in nanoseconds since any moment, the same for all calls.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use tower_load::estimate::{Estimate, Outcome};
//!
//! let estimate = Estimate::new(0, Duration::from_secs(10), Duration::from_millis(30));
//! estimate.begin(0);
//! estimate.end(0, Outcome::Answered, 50_000_000);
//! // The peak of 50 ms is taken whole, and nothing is in flight.
//! assert_eq!(estimate.cost(50_000_000), 5e7);
//! ```

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::sync::{AtomicU64, AtomicUsize};

/// An [`Ewma`](crate::Ewma) that many threads may read and write, without a lock.
///
/// The orderings are all relaxed: each word is right by itself, and nobody concludes anything from one about another.
#[derive(Debug)]
pub struct Estimate {
    /// Nanoseconds, as an `f32`, in the upper half, and the time of the last sample in the lower one, in ticks.
    rtt: AtomicU64,
    pending: AtomicUsize,
    /// When the last answer came, or when the first request since then went out if none was in flight. Nanoseconds.
    silent_since: AtomicU64,
    /// So many to the nanosecond: 1,024 of them to the decay time.
    ticks: f64,
}

/// What became of a request.
#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    /// There was a response.
    Answered,
    /// There was an error.
    Failed,
    /// The caller did not wait for either.
    Dropped,
}

impl Estimate {
    /// `rtt` is the estimate until there is a measurement; it fades to 1/e within `decay`, of which less than a millisecond
    /// counts as one.
    pub fn new(now: u64, decay: Duration, rtt: Duration) -> Self {
        let ticks = TICKS_PER_DECAY / nanos(decay.max(MIN_DECAY));
        Self {
            rtt: AtomicU64::new(pack(nanos(rtt), tick(now, ticks))),
            pending: AtomicUsize::new(0),
            silent_since: AtomicU64::new(now),
            ticks,
        }
    }

    /// A request goes out.
    #[inline]
    pub fn begin(&self, now: u64) {
        if self.pending.fetch_add(1, Ordering::Relaxed) == 0 {
            self.silent_since.store(now, Ordering::Relaxed);
        }
    }

    /// The request that went out at `began` is over. Call it once for each [`begin`](Self::begin).
    #[inline]
    pub fn end(&self, began: u64, outcome: Outcome, now: u64) {
        let took = float(now.saturating_sub(began));
        if !matches!(outcome, Outcome::Dropped) {
            self.silent_since.store(now, Ordering::Relaxed);
        }
        self.pending.fetch_sub(1, Ordering::Relaxed);

        let tick = tick(now, self.ticks);
        let mut word = self.rtt.load(Ordering::Relaxed);
        loop {
            let (weight, estimate) = faded(word, tick);
            let sample = match outcome {
                Outcome::Answered => took,
                Outcome::Failed => {
                    took.max((estimate * 2.0).min(estimate.max(nanos(WORST_FAILURE))))
                }
                // Neither an answer nor a failure: at most it tells that the service is slower than was thought.
                Outcome::Dropped if took > estimate => took,
                Outcome::Dropped => return,
            };
            let next = if sample > estimate {
                sample
            } else {
                estimate + sample * (1.0 - weight)
            };
            let next = pack(next, latest(word, tick));
            if next == word {
                return;
            }
            match self
                .rtt
                .compare_exchange_weak(word, next, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(current) => word = current,
            }
        }
    }

    /// The estimate, in nanoseconds, times the requests in flight and one.
    #[inline]
    pub fn cost(&self, now: u64) -> f64 {
        let word = self.rtt.load(Ordering::Relaxed);
        let (_, mut rtt) = faded(word, tick(now, self.ticks));
        let pending = self.pending.load(Ordering::Relaxed);
        if pending > 0 {
            // One of them is in flight for so long at least, or was until it was given up.
            let silence = now.saturating_sub(self.silent_since.load(Ordering::Relaxed));
            rtt = rtt.max(float(silence));
        }
        rtt * (pending as f64 + 1.0)
    }
}

fn pack(value: f64, tick: u32) -> u64 {
    u64::from((value as f32).to_bits()) << 32 | u64::from(tick)
}

/// What is left of the estimate, and as a share of what it was.
#[inline]
fn faded(word: u64, tick: u32) -> (f64, f64) {
    let value = f64::from(f32::from_bits((word >> 32) as u32));
    let elapsed = tick.wrapping_sub(word as u32);
    if elapsed == 0 || elapsed >= LATER {
        return (1.0, value);
    }
    let weight = (-f64::from(elapsed) / TICKS_PER_DECAY).exp();
    (weight, value * weight)
}

/// The later of the word's time and `tick`.
fn latest(word: u64, tick: u32) -> u32 {
    if tick.wrapping_sub(word as u32) >= LATER {
        word as u32
    } else {
        tick
    }
}

/// Wraps around. That a long silence looks like a short one then happens once in four million decay times.
fn tick(nanos: u64, ticks: f64) -> u32 {
    (float(nanos) * ticks) as i64 as u32
}

/// Of nanoseconds, which are fewer than 2⁶³: from a signed integer it takes one instruction.
fn float(nanos: u64) -> f64 {
    nanos as i64 as f64
}

fn nanos(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e9
}

const TICKS_PER_DECAY: f64 = 1024.0;
const MIN_DECAY: Duration = Duration::from_millis(1);
/// A time that is before the last sample's: of a thread that has read the clock earlier, and writes later.
const LATER: u32 = u32::MAX - 64 * 1024;
/// What linkerd2-proxy counts for any failure.
const WORST_FAILURE: Duration = Duration::from_secs(5);

#[cfg(all(test, not(tower_loom)))]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn estimate(start: u64) -> Estimate {
        Estimate::new(start, Duration::from_secs(10), Duration::from_millis(10))
    }

    fn assert_cost(estimate: &Estimate, now: u64, expected: u64) {
        let cost = estimate.cost(now);
        let expected = expected as f64;
        assert!(
            (cost - expected).abs() < expected * 1e-3,
            "{cost} instead of {expected}"
        );
    }

    #[test]
    fn failures_double_it_up_to_a_bound() {
        let start = 1000 * MS;
        let estimate = estimate(start);
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
        let start = 1000 * MS;
        let estimate = estimate(start);
        estimate.begin(start);
        let end = start + 60_000 * MS;
        estimate.end(start, Outcome::Failed, end);
        assert_cost(&estimate, end, 60_000 * MS);
    }

    #[test]
    fn a_dropped_request_only_raises_it() {
        let start = 1000 * MS;
        let estimate = estimate(start);
        estimate.begin(start);
        estimate.end(start, Outcome::Dropped, start + MS);
        let untouched = self::estimate(start);
        assert_cost(&estimate, start + MS, untouched.cost(start + MS) as u64);
        estimate.begin(start);
        estimate.end(start, Outcome::Dropped, start + 20 * MS);
        assert_cost(&estimate, start + 20 * MS, 20 * MS);
    }

    #[test]
    fn silence_raises_it_while_requests_are_in_flight() {
        let start = 1000 * MS;
        let estimate = estimate(start);
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

#[cfg(all(test, tower_loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    /// Two answers at once: none is uncounted, and the slower one is not written over.
    #[test]
    fn the_slowest_of_concurrent_answers_counts() {
        loom::model(|| {
            let second = Duration::from_secs(1);
            let estimate = Arc::new(Estimate::new(0, second, Duration::ZERO));
            let answer = |estimate: &Estimate, took: u64| {
                estimate.begin(0);
                estimate.end(0, Outcome::Answered, took);
            };
            let other = {
                let estimate = Arc::clone(&estimate);
                thread::spawn(move || answer(&estimate, 1_000))
            };
            answer(&estimate, 2_000);
            other.join().unwrap();
            assert_eq!(estimate.pending.load(Ordering::Relaxed), 0);
            assert_eq!(estimate.cost(2_000), 2_000.0);
        });
    }
}
