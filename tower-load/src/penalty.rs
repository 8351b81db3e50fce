//! The penalty of an endpoint for its failures.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::sync::AtomicU64;

/// A minimum for the latency estimate of an endpoint whose requests fail. It decays like the estimate.
///
/// - The first failure multiplies the estimate by two, and each further failure multiplies it by eight. It is a factor
///   rather than a time, so that it suits endpoints with latencies from a millisecond to a minute.
/// - Only failures of requests that were sent after the last penalty count. The others were in flight at the same time
///   and give no new information: a hundred requests that fail together count as one failure.
/// - Each success halves the penalty on a logarithmic scale, so that a few successes remove it.
/// - When the penalty has decayed to the load of the other endpoints, the endpoint is picked again: that request is a
///   probe. If it fails, a backoff follows that is as long as the estimate was, at most ten minutes: slow endpoints
///   receive fewer requests in the same time, so they are probed less often.
/// - Three decay times after the last failure or the end of its backoff, a probe is due in any case. Otherwise, if all
///   endpoints fail for a while and their penalties are multiplied many times, they would not recover for a long time.
///
/// # Implementation notes
///
/// The penalty and the end of the backoff are written one after the other. A thread that reads between the two writes
/// sees the penalty without its backoff, which affects one comparison of loads.
#[derive(Debug)]
pub(crate) struct Penalty {
    /// The upper 16 bits are `log2` of the latency in nanoseconds, with 8 fractional bits; the lower 48 bits are the
    /// time of the last failure that counted, in units of 2¹⁶ ns. 0 if there is no penalty.
    word: AtomicU64,
    /// The end of the backoff, during which the penalty does not decay. Nanoseconds.
    backoff_until: AtomicU64,
    /// The time constant of the decay, in nanoseconds.
    decay: f64,
}

/// The times of a request that is complete, and the endpoint's estimate without the penalty, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) began: u64,
    pub(crate) now: u64,
    pub(crate) estimate: f64,
}

impl Penalty {
    /// Creates a penalty that decays to 1/e in `decay`, limited to [`MIN_DECAY`] and [`MAX_DECAY`].
    pub(crate) fn new(decay: Duration) -> Self {
        Self {
            word: AtomicU64::new(NONE),
            backoff_until: AtomicU64::new(0),
            decay: decay.clamp(MIN_DECAY, MAX_DECAY).as_nanos() as f64,
        }
    }

    #[inline]
    pub(crate) fn is_none(&self) -> bool {
        self.word.load(Ordering::Relaxed) == NONE
    }

    /// Returns the estimate with the penalty: at least `estimate`.
    #[cold]
    pub(crate) fn apply(&self, estimate: f64, is_busy: bool, now: u64) -> f64 {
        let Some(state) = self.state(self.word.load(Ordering::Relaxed), now) else {
            return estimate;
        };
        if now < state.backoff_until {
            return estimate.max(UNREACHABLE);
        }
        // While a probe is in flight, the penalty applies, so that there is one at a time.
        if state.decaying_for >= PROBE_AFTER * self.decay && !is_busy {
            return estimate;
        }
        estimate.max(self.level(state))
    }

    /// Records a failure. A server that pushes back asks for a backoff.
    #[cold]
    pub(crate) fn failed(&self, end: End, pushback: Option<Duration>) {
        let pushback = pushback.map_or(0.0, |time| time.min(MAX_PUSHBACK).as_nanos() as f64);
        let took = end.now.saturating_sub(end.began) as f64;
        let mut word = self.word.load(Ordering::Relaxed);
        let backoff = loop {
            let (level, backoff) = match self.state(word, end.now) {
                None => (FIRST_FACTOR * end.estimate, 0.0),
                Some(state) if state.precedes(end.began) => self.next_penalty(state, end.estimate),
                Some(_) => return self.back_off(pushback, end.now),
            };
            let level = level.max(took).max(pushback);
            match self.exchange(word, pack(level.log2(), end.now >> UNIT)) {
                Ok(_) => break backoff,
                Err(current) => word = current,
            }
        };
        if word == NONE {
            // Remove the backoff of an earlier penalty.
            self.backoff_until.store(0, Ordering::Relaxed);
        }
        self.back_off(backoff.max(pushback), end.now);
    }

    /// Records a success.
    #[cold]
    pub(crate) fn succeeded(&self, end: End) {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let Some(state) = self.state(word, end.now) else {
                return;
            };
            if !state.precedes(end.began) {
                return;
            }
            let above = self.level(state).max(1.0).log2() - end.estimate.max(1.0).log2();
            let next = if above < MIN_PENALTY {
                NONE
            } else {
                // The time of the failure is kept: if a probe was due, the next one is too.
                pack(state.log - above / 2.0, state.stamp)
            };
            match self.exchange(word, next) {
                Ok(_) => return,
                Err(current) => word = current,
            }
        }
    }

    /// Returns the level after another failure, and the length of the backoff, both in nanoseconds.
    fn next_penalty(&self, state: State, estimate: f64) -> (f64, f64) {
        let level = self.level(state);
        if level <= estimate {
            return (FIRST_FACTOR * estimate, 0.0);
        }
        // If the penalty had time to decay, the request was a probe, and `level` is about the load of the other
        // endpoints.
        let was_probe = state.decaying_for >= self.decay;
        let backoff = if was_probe {
            level.min(MAX_BACKOFF.as_nanos() as f64)
        } else {
            0.0
        };
        (NEXT_FACTOR * level, backoff)
    }

    /// Returns the decayed penalty, in nanoseconds.
    fn level(&self, state: State) -> f64 {
        state.log.exp2() * (-state.decaying_for / self.decay).exp()
    }

    fn back_off(&self, nanos: f64, now: u64) {
        if nanos > 0.0 {
            let until = now.saturating_add(nanos as u64);
            self.backoff_until.fetch_max(until, Ordering::Relaxed);
        }
    }

    fn exchange(&self, word: u64, next: u64) -> Result<u64, u64> {
        self.word
            .compare_exchange_weak(word, next, Ordering::Relaxed, Ordering::Relaxed)
    }

    fn state(&self, word: u64, now: u64) -> Option<State> {
        if word == NONE {
            return None;
        }
        let stamp = word & TIME;
        let backoff_until = self.backoff_until.load(Ordering::Relaxed);
        let longest = MAX_BACKOFF.as_nanos() as u64;
        // If the clock was set back, a penalty or a backoff from the future would last until that time.
        let is_future = stamp > (now >> UNIT) + SKEW;
        let backoff_until = if is_future || backoff_until.saturating_sub(now) > longest {
            0
        } else {
            backoff_until
        };
        let decays_from = backoff_until.max(stamp << UNIT);
        Some(State {
            log: (word >> TIME_BITS) as f64 / STEPS,
            stamp,
            backoff_until,
            decaying_for: if is_future {
                f64::INFINITY
            } else {
                now.saturating_sub(decays_from) as f64
            },
        })
    }
}

/// A penalty at a given time.
#[derive(Clone, Copy, Debug)]
struct State {
    /// `log2` of nanoseconds, before the decay.
    log: f64,
    /// The time of the failure, in units.
    stamp: u64,
    backoff_until: u64,
    /// The time for which it has decayed. Nanoseconds.
    decaying_for: f64,
}

impl State {
    /// Whether the failure was before a request that was sent at `began`.
    fn precedes(&self, began: u64) -> bool {
        self.stamp <= began >> UNIT || self.decaying_for == f64::INFINITY
    }
}

fn pack(log: f64, units: u64) -> u64 {
    // At least 1, so that it is not `NONE`. The cast saturates, and maps NaN to 0.
    let log = ((log * STEPS).round() as u64).clamp(1, MAX_LOG);
    log << TIME_BITS | units & TIME
}

const NONE: u64 = 0;
/// The factor of the first failure. It is small, because that may be a single failure among many successes.
const FIRST_FACTOR: f64 = 2.0;
/// The factor of each further failure. It takes 2.1 decay times for a factor of 8 to decay.
const NEXT_FACTOR: f64 = 8.0;
/// The minimum penalty, in `log2`: less than a fifth above the estimate counts as no penalty.
const MIN_PENALTY: f64 = 0.25;
/// When a probe is due in any case, in decay times.
const PROBE_AFTER: f64 = 3.0;
/// As in linkerd2-proxy. With less, probes of a broken endpoint would be too large a share of a few hundred requests
/// per second.
const MIN_DECAY: Duration = Duration::from_secs(10);
const MAX_DECAY: Duration = Duration::from_secs(100);
/// The maximum backoff that a server may ask for, as in linkerd2-proxy.
const MAX_PUSHBACK: Duration = Duration::from_secs(300);
/// The maximum backoff after a failed probe.
const MAX_BACKOFF: Duration = Duration::from_secs(600);
/// A year, in nanoseconds: more than the load of any other endpoint.
const UNREACHABLE: f64 = 3e16;
/// The maximum difference between the clocks of threads: about a second, in units.
const SKEW: u64 = 1 << 14;
/// `log2` of the unit of time, 65,536 ns.
const UNIT: u32 = 16;
const TIME_BITS: u32 = 48;
const TIME: u64 = (1 << TIME_BITS) - 1;
const STEPS: f64 = 256.0;
/// The maximum penalty, 2⁶⁴ ns.
const MAX_LOG: u64 = 64 * 256;
