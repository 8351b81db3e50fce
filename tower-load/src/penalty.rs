//! How much worse an endpoint looks because of its failures.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::sync::AtomicU64;

/// A latency that an endpoint is credited with at least, because its requests fail. It fades as other estimates do.
///
/// - A failure multiplies what the endpoint is estimated at: the first one by two, the following ones by eight. It is a
///   factor and not a time, so that it is right for endpoints of a millisecond and for those of a minute.
/// - Only a request that was sent after the last penalty counts. Those that were in flight with it tell nothing new: a
///   hundred of them that fail together are one failure.
/// - An answer takes back half of the penalty, on a logarithmic scale: after a few of them it is gone.
/// - Once it has faded to what the other endpoints are loaded with, the endpoint gets a request, which is a trial. If it
///   fails, the endpoint is held out for as long as it was estimated at, up to ten minutes: slow endpoints have fewer
///   requests in the same time, and are tried less often.
/// - Three decay times after the last failure, or its hold, a trial is due in any case. Otherwise endpoints that were all
///   broken at once, and have had their penalties multiplied many times, would stay out for long.
///
/// # Implementation notes
///
/// The word and the end of the hold are written one after the other. A thread that reads between them sees the penalty
/// without its hold, for one comparison of loads.
#[derive(Debug)]
pub(crate) struct Penalty {
    /// `log2` of the latency in nanoseconds, with 8 bits behind the point, in the upper 16 bits; below it the time of the
    /// last failure that counted, in units of 2¹⁶ ns. 0 if there is no penalty.
    word: AtomicU64,
    /// Until when the endpoint is held out, and its penalty does not fade. Nanoseconds.
    held_until: AtomicU64,
    /// Nanoseconds.
    decay: f64,
}

/// The end of a request, and what the endpoint is estimated at without a penalty, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) began: u64,
    pub(crate) now: u64,
    pub(crate) estimate: f64,
}

impl Penalty {
    /// Fades to 1/e within `decay`, but not faster than in [`SHORTEST_DECAY`], nor slower than in [`LONGEST_DECAY`].
    pub(crate) fn new(decay: Duration) -> Self {
        Self {
            word: AtomicU64::new(NONE),
            held_until: AtomicU64::new(0),
            decay: decay.clamp(SHORTEST_DECAY, LONGEST_DECAY).as_nanos() as f64,
        }
    }

    #[inline]
    pub(crate) fn is_none(&self) -> bool {
        self.word.load(Ordering::Relaxed) == NONE
    }

    /// What the endpoint is to be estimated at: `estimate` at least.
    #[cold]
    pub(crate) fn apply(&self, estimate: f64, is_busy: bool, now: u64) -> f64 {
        let Some(state) = self.state(self.word.load(Ordering::Relaxed), now) else {
            return estimate;
        };
        if now < state.held_until {
            return estimate.max(OUT_OF_REACH);
        }
        // While a trial is in flight, the penalty counts: one request at a time.
        if state.faded_for >= TRIAL_AFTER * self.decay && !is_busy {
            return estimate;
        }
        estimate.max(self.level(state))
    }

    /// A request failed; the server asks for a `pause`.
    #[cold]
    pub(crate) fn failed(&self, end: End, pause: Option<Duration>) {
        let pause = pause.map_or(0.0, |pause| pause.min(LONGEST_PAUSE).as_nanos() as f64);
        let took = end.now.saturating_sub(end.began) as f64;
        let mut word = self.word.load(Ordering::Relaxed);
        let hold = loop {
            let (level, hold) = match self.state(word, end.now) {
                None => (FIRST * end.estimate, 0.0),
                Some(state) if state.precedes(end.began) => self.again(state, end.estimate),
                Some(_) => return self.hold(pause, end.now),
            };
            let level = level.max(took).max(pause);
            match self.exchange(word, pack(level.log2(), end.now >> UNIT)) {
                Ok(_) => break hold,
                Err(current) => word = current,
            }
        };
        if word == NONE {
            // What is left of the hold of an earlier penalty.
            self.held_until.store(0, Ordering::Relaxed);
        }
        self.hold(hold.max(pause), end.now);
    }

    /// A request was answered.
    #[cold]
    pub(crate) fn answered(&self, end: End) {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let Some(state) = self.state(word, end.now) else {
                return;
            };
            if !state.precedes(end.began) {
                return;
            }
            let above = self.level(state).max(1.0).log2() - end.estimate.max(1.0).log2();
            let next = if above < LEAST {
                NONE
            } else {
                // The time remains that of the failure: where a trial was due, the next one is.
                pack(state.log - above / 2.0, state.stamp)
            };
            match self.exchange(word, next) {
                Ok(_) => return,
                Err(current) => word = current,
            }
        }
    }

    /// The level after another failure, and how long the endpoint is to be held out, both in nanoseconds.
    fn again(&self, state: State, estimate: f64) -> (f64, f64) {
        let level = self.level(state);
        if level <= estimate {
            return (FIRST * estimate, 0.0);
        }
        // It had time to fade: it was a trial, and `level` is about what the other endpoints are loaded with.
        let was_trial = state.faded_for >= self.decay;
        let hold = if was_trial {
            level.min(LONGEST_HOLD.as_nanos() as f64)
        } else {
            0.0
        };
        (NEXT * level, hold)
    }

    /// What is left of the penalty, in nanoseconds.
    fn level(&self, state: State) -> f64 {
        state.log.exp2() * (-state.faded_for / self.decay).exp()
    }

    fn hold(&self, nanos: f64, now: u64) {
        if nanos > 0.0 {
            let until = now.saturating_add(nanos as u64);
            self.held_until.fetch_max(until, Ordering::Relaxed);
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
        let held_until = self.held_until.load(Ordering::Relaxed);
        let longest = LONGEST_HOLD.as_nanos() as u64;
        // A clock that was set back would make a penalty, or a hold, of the future last until then.
        let is_future = stamp > (now >> UNIT) + SKEW;
        let held_until = if is_future || held_until.saturating_sub(now) > longest {
            0
        } else {
            held_until
        };
        let fades_from = held_until.max(stamp << UNIT);
        Some(State {
            log: (word >> TIME_BITS) as f64 / STEPS,
            stamp,
            held_until,
            faded_for: if is_future {
                f64::INFINITY
            } else {
                now.saturating_sub(fades_from) as f64
            },
        })
    }
}

/// A penalty, at a certain time.
#[derive(Clone, Copy, Debug)]
struct State {
    /// `log2` of nanoseconds, before it faded.
    log: f64,
    /// When it was given, in units.
    stamp: u64,
    held_until: u64,
    /// Nanoseconds.
    faded_for: f64,
}

impl State {
    /// Whether it was given before a request was sent that began then.
    fn precedes(&self, began: u64) -> bool {
        self.stamp <= began >> UNIT || self.faded_for == f64::INFINITY
    }
}

fn pack(log: f64, units: u64) -> u64 {
    // At least 1, so that it is not `NONE`. The cast of what is too great, or not a number, saturates.
    let log = ((log * STEPS).round() as u64).clamp(1, MOST);
    log << TIME_BITS | units & TIME
}

const NONE: u64 = 0;
/// By how much the first failure multiplies. It may be one among many answers, and is to cost little.
const FIRST: f64 = 2.0;
/// By how much the following ones do. It takes 2.1 decay times for a factor of 8 to fade.
const NEXT: f64 = 8.0;
/// A penalty of less than a fifth is none. Of `log2`.
const LEAST: f64 = 0.25;
/// In decay times.
const TRIAL_AFTER: f64 = 3.0;
/// As in linkerd2-proxy. With less, an endpoint that is broken would be tried more often than is good for a few hundred
/// requests per second.
const SHORTEST_DECAY: Duration = Duration::from_secs(10);
const LONGEST_DECAY: Duration = Duration::from_secs(100);
/// The longest that a server may ask to be sent no requests, as in linkerd2-proxy.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// The longest that a failed trial holds an endpoint out.
const LONGEST_HOLD: Duration = Duration::from_secs(600);
/// A year, in nanoseconds: more than other endpoints are loaded with.
const OUT_OF_REACH: f64 = 3e16;
/// By how much threads may disagree about the time: about a second, in units.
const SKEW: u64 = 1 << 14;
/// `log2` of the length of a unit of time, 65,536 ns.
const UNIT: u32 = 16;
const TIME_BITS: u32 = 48;
const TIME: u64 = (1 << TIME_BITS) - 1;
const STEPS: f64 = 256.0;
/// No penalty is above 2⁶⁴ ns.
const MOST: u64 = 64 * 256;
