//! Failure accrual of an endpoint, in which requests that only change a count take no lock.

use std::ops::{Deref, DerefMut};

use tokio::time::Instant;
use tower_readiness::ignore_poison;

use crate::policy::accrual::{Attempt, FailureAccrual, Step};
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering};
use tower_classify::Class;

/// A [`FailureAccrual`], and the successes that it has not recorded yet.
///
/// While the endpoint is alive, a success only increments a counter, until the current step of the accrual's window
/// ends. The accrual records the counted successes before anything else, so its decisions are the same. There are two
/// accepted inaccuracies: a success that ends together with a step may count in the next step, and a success that ends
/// while another request marks the endpoint dead may count once the endpoint is alive again.
#[allow(unreachable_pub, unnameable_types, reason = "sealed")]
#[derive(Debug)]
pub struct Attempts {
    accrual: Mutex<FailureAccrual>,
    fresh: Fresh,
    known: Known,
    start: Instant,
}

/// The successes not recorded yet. Each success writes here, so it has its own cache lines.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Fresh(AtomicU64);

/// A copy of the part of the accrual that each request reads. Written with the accrual locked.
#[derive(Debug)]
#[repr(align(128))]
struct Known {
    /// The current life of the endpoint, or [`NOT_ALIVE`].
    life: AtomicU64,
    /// Until when a success only increments the counter, in nanoseconds since the start.
    until: AtomicU64,
}

/// The locked accrual, with all successes recorded. Dropping it updates [`Known`].
pub(super) struct Locked<'a> {
    accrual: MutexGuard<'a, FailureAccrual>,
    attempts: &'a Attempts,
}

impl Attempts {
    pub(super) fn new(accrual: FailureAccrual, now: Instant) -> Self {
        let attempts = Self {
            accrual: Mutex::new(accrual),
            fresh: Fresh::default(),
            known: Known {
                life: AtomicU64::new(NOT_ALIVE),
                until: AtomicU64::new(0),
            },
            start: now,
        };
        drop(attempts.lock());
        attempts
    }

    /// Begins a request. Returns `None` if the endpoint is not alive: then the accrual must be locked.
    pub(super) fn begin(&self) -> Option<Attempt> {
        match self.known.life.load(Ordering::Relaxed) {
            NOT_ALIVE => None,
            life => Some(Attempt::of_alive(life)),
        }
    }

    /// Ends a request. Returns `false` if that changes more than a count: then the accrual must be locked.
    pub(super) fn end(&self, attempt: &Attempt, class: Class, now: Instant) -> bool {
        let Known { life, until } = &self.known;
        let alive = life.load(Ordering::Relaxed) == attempt.life();
        match class {
            Class::Success if alive && self.nanos(now) < until.load(Ordering::Relaxed) => {
                self.fresh.0.fetch_add(1, Ordering::Relaxed);
                true
            }
            Class::Ignored => alive,
            _ => false,
        }
    }

    pub(super) fn lock(&self) -> Locked<'_> {
        let mut accrual = ignore_poison(self.accrual.lock());
        if self.fresh.0.load(Ordering::Relaxed) != 0 {
            accrual.succeeded(self.fresh.0.swap(0, Ordering::Relaxed));
        }
        Locked {
            accrual,
            attempts: self,
        }
    }

    fn nanos(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.start);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}

impl Deref for Locked<'_> {
    type Target = FailureAccrual;

    fn deref(&self) -> &FailureAccrual {
        &self.accrual
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut FailureAccrual {
        &mut self.accrual
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let Known { life, until } = &self.attempts.known;
        let alive = self.accrual.life().unwrap_or(NOT_ALIVE);
        let step = match self.accrual.step() {
            Step::Endless => u64::MAX,
            Step::Until(end) => self.attempts.nanos(end),
            Step::NotBegun => 0,
        };
        // Usually they are unchanged, and a load keeps the cache line shared.
        if life.load(Ordering::Relaxed) != alive {
            life.store(alive, Ordering::Relaxed);
            self.attempts.fresh.0.store(0, Ordering::Relaxed);
        }
        if until.load(Ordering::Relaxed) != step {
            until.store(step, Ordering::Relaxed);
        }
    }
}

/// An endpoint never has this life: it would take 2⁶⁴ changes of its status.
const NOT_ALIVE: u64 = u64::MAX;

#[cfg(all(test, not(tower_loom)))]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use tower_util::rng::SplitMix;

    use tower_classify::FailureKind;

    use super::*;
    use crate::policy::accrual::AccrualConfig;

    const FAILED: Class = Class::failure(FailureKind::Internal);

    fn configs() -> impl Strategy<Value = AccrualConfig> {
        let second = Duration::from_secs(1);
        prop_oneof![
            Just(AccrualConfig::default()),
            Just(AccrualConfig::never().consecutive(3)),
            Just(AccrualConfig::never().success_rate_within(0.6, second, 4)),
            Just(AccrualConfig::never().success_rate_over(0.6, 5)),
        ]
    }

    proptest! {
        /// Each request ends before the next begins. The oracle is a plain accrual that records each request.
        #[test]
        fn counted_successes_lead_to_the_same_decisions(
            config in configs(),
            requests in prop::collection::vec((0_u64..400, 0..8), 0..200),
        ) {
            let mut now = Instant::now();
            let mut plain = FailureAccrual::new(config).unwrap();
            let attempts = Attempts::new(plain.clone(), now);
            let rngs = [SplitMix::with_seed(1), SplitMix::with_seed(1)];
            let [mut rng, mut oracles] = rngs;
            for (millis, outcome) in requests {
                let outcome = match outcome {
                    0..4 => Class::Success,
                    4..7 => FAILED,
                    _ => Class::Ignored,
                };
                let expected = plain.begin(now);
                let attempt = attempts.begin().unwrap_or_else(|| attempts.lock().begin(now));
                now += Duration::from_millis(millis);
                plain.end(expected, outcome, now, &mut oracles);
                if !attempts.end(&attempt, outcome, now) {
                    attempts.lock().end(attempt, outcome, now, &mut rng);
                }
                prop_assert_eq!(attempts.lock().status(now), plain.status(now));
            }
        }
    }
}

#[cfg(all(test, tower_loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::thread;
    use tower_classify::FailureKind;
    use tower_util::rng::SplitMix;

    use super::*;
    use crate::policy::accrual::{AccrualConfig, Status};

    /// Two successes are counted while the accrual records what is counted so far. The rule applies from four requests
    /// on.
    #[test]
    fn each_success_is_recorded_once() {
        loom::model(|| {
            let config = AccrualConfig::never().success_rate_over(0.9, 4);
            let now = Instant::now();
            let accrual = FailureAccrual::new(config).unwrap();
            let attempts = Arc::new(Attempts::new(accrual, now));
            let succeed = move |attempts: &Attempts| {
                let attempt = attempts.begin().unwrap();
                assert!(attempts.end(&attempt, Class::Success, now));
            };
            let other = {
                let attempts = Arc::clone(&attempts);
                thread::spawn(move || succeed(&attempts))
            };
            succeed(&attempts);
            drop(attempts.lock());
            other.join().unwrap();
            for expected in [Status::Alive, Status::Dead { until: now }] {
                let mut accrual = attempts.lock();
                let attempt = accrual.begin(now);
                accrual.end(
                    attempt,
                    Class::failure(FailureKind::Internal),
                    now,
                    &mut SplitMix::with_seed(0),
                );
                let status = std::mem::discriminant(&accrual.status(now));
                assert_eq!(status, std::mem::discriminant(&expected));
            }
            assert!(attempts.begin().is_none());
        });
    }
}
