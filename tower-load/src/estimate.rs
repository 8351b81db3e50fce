//! How long a service takes, by what became of its requests: what [`PeakEwma`](crate::PeakEwma) goes by, bare.
//!
//! Pure: the time comes in as an argument, in nanoseconds since any moment, the same for all calls.
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
//! // The peak of 50 ms is taken whole, and nothing is in flight.
//! assert_eq!(estimate.cost(50_000_000), 5e7);
//! ```

use std::sync::atomic::Ordering;
use std::time::Duration;

use tower_classify::{Class, Failure, Pushback};

use crate::penalty::{End, Penalty};
use crate::sync::{AtomicU64, AtomicUsize};

/// An [`Ewma`](crate::Ewma) that many threads may read and write, without a lock, and what failures add to it.
///
/// The orderings are all relaxed: each word is right by itself, and nothing is concluded from one about another.
///
/// All words are in one cache line, and nothing else is: a request writes there three or four times.
#[derive(Debug)]
#[repr(align(128))]
pub struct Estimate {
    /// Nanoseconds, as an `f32`, in the upper half, and the time of the last sample in the lower one, in ticks.
    rtt: AtomicU64,
    pending: AtomicUsize,
    /// When the last answer came, or when the first request since then went out if none was in flight. Nanoseconds.
    silent_since: AtomicU64,
    penalty: Penalty,
    /// Ticks per nanosecond; the decay time has 1,024 of them.
    ticks: f64,
}

impl Estimate {
    /// `rtt` is the estimate until there is a measurement; it fades to 1/e within `decay`, of which less than a millisecond
    /// counts as one. What failures add fades as fast, but within 10 s at the shortest and 100 s at the longest.
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

    /// A request goes out.
    #[inline]
    pub fn begin(&self, now: u64) {
        if self.pending.fetch_add(1, Ordering::Relaxed) == 0 {
            self.silent_since.store(now, Ordering::Relaxed);
        }
    }

    /// The request that was sent at `began` is over, with a result of this class; `None` if it was dropped. Call it once for
    /// each [`begin`](Self::begin).
    ///
    /// | class | effect |
    /// |---|---|
    /// | `Success` | the latency is a sample |
    /// | `Failure` of any kind, `Unsent` | a failure |
    /// | `Failure` with a pushback `After(time)` | the same, and the endpoint gets no requests for that time, 300 s at most |
    /// | `Ignored`, `None` | the latency is a sample if it is above the estimate |
    #[inline]
    pub fn end(&self, began: u64, class: Option<Class>, now: u64) {
        let class = class.unwrap_or(Class::Ignored);
        // First what takes the cache line for itself.
        self.pending.fetch_sub(1, Ordering::Relaxed);
        if class.is_success() || class.is_failure() {
            self.silent_since.store(now, Ordering::Relaxed);
        }
        match class {
            Class::Success => {
                let estimate = self.sample(began, now, false);
                if !self.penalty.is_none() {
                    self.penalty.answered(End {
                        began,
                        now,
                        estimate,
                    });
                }
            }
            Class::Failure(failure) => self.fail(began, now, pause(failure)),
            Class::Unsent => self.fail(began, now, None),
            // Neither an answer nor a failure: at most it tells that the service is slower than was thought.
            _ => {
                self.sample(began, now, true);
            }
        }
    }

    /// How long the request took is part of the estimate from now on, which is returned; if `only_peak`, only if it took
    /// longer than that.
    #[inline]
    fn sample(&self, began: u64, now: u64, only_peak: bool) -> f64 {
        let sample = float(now.saturating_sub(began));
        let tick = tick(now, self.ticks);
        let mut word = self.rtt.load(Ordering::Relaxed);
        loop {
            let (weight, estimate) = faded(word, tick);
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

    /// A failure says nothing of how long an answer takes: the estimate stays as it is, and fades.
    #[cold]
    fn fail(&self, began: u64, now: u64, pause: Option<Duration>) {
        let word = self.rtt.load(Ordering::Relaxed);
        let (_, estimate) = faded(word, tick(now, self.ticks));
        let end = End {
            began,
            now,
            estimate,
        };
        self.penalty.failed(end, pause);
    }

    /// The estimate, in nanoseconds, times the requests in flight and one.
    #[inline]
    pub fn cost(&self, now: u64) -> f64 {
        let word = self.rtt.load(Ordering::Relaxed);
        let (_, mut rtt) = faded(word, tick(now, self.ticks));
        let pending = self.pending.load(Ordering::Relaxed);
        if !self.penalty.is_none() {
            rtt = self.penalty.apply(rtt, pending > 0, now);
        }
        if pending > 0 {
            // One of them is in flight for so long at least, or was until it was given up.
            let silence = now.saturating_sub(self.silent_since.load(Ordering::Relaxed));
            rtt = rtt.max(float(silence));
        }
        rtt * (pending as f64 + 1.0)
    }
}

/// How long the server asks to get no requests.
fn pause(failure: Failure) -> Option<Duration> {
    match failure.pushback()? {
        Pushback::After(pause) => Some(pause),
        // This request is not to be retried, which says nothing about others.
        Pushback::Never => None,
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
    (nanos as i64 as f64 * ticks) as i64 as u32
}

/// Of nanoseconds; more than 2⁶³, which are 292 years, count as that. From a signed integer it takes one instruction.
fn float(nanos: u64) -> f64 {
    nanos.min(i64::MAX as u64) as i64 as f64
}

fn nanos(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e9
}

const TICKS_PER_DECAY: f64 = 1024.0;
const MIN_DECAY: Duration = Duration::from_millis(1);
/// A time that is before the last sample's: of a thread that has read the clock earlier, and writes later.
const LATER: u32 = u32::MAX - 64 * 1024;

#[cfg(all(test, tower_loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::thread;
    use tower_classify::FailureKind;

    use super::*;

    const FAILED: Option<Class> = Some(Class::failure(FailureKind::Unknown));

    /// Two answers at once: none is uncounted, and the slower one is not written over.
    #[test]
    fn the_slowest_of_concurrent_answers_counts() {
        loom::model(|| {
            let second = Duration::from_secs(1);
            let estimate = Arc::new(Estimate::new(0, second, Duration::ZERO));
            let answer = |estimate: &Estimate, took: u64| {
                estimate.begin(0);
                estimate.end(0, Some(Class::Success), took);
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

    /// Two failures at once, of requests that were in flight together, are one, however the threads meet.
    #[test]
    fn what_fails_together_is_one_failure() {
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
            // Of the first second 1/e is left; but the failure took as long.
            let cost = estimate.cost(now) / 1e9;
            assert!((cost - 1.0).abs() < 0.01, "{cost}");
        });
    }

    /// A failure that meets an answer which was sent after the last failure: either may be the first.
    #[test]
    fn a_failure_is_not_lost_to_an_answer() {
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
            // Twice eight is 16, of which the answer leaves 4; or two is 1.4, and eight times as much 11.3.
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
