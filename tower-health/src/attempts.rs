//! The attempts at an endpoint. Those that change nothing but a count take no lock.

use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;

use tokio::time::Instant;

use crate::policy::accrual::{Attempt, FailureAccrual, Step};
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering};
use tower_classify::Class;

/// A [`FailureAccrual`], and the successes that it has not been told of.
///
/// While the endpoint is alive, a success is only counted, until the step of the accrual's window ends. The accrual is told of
/// them before anything else: what it finds is the same. A success that ends in the very moment in which a step does may count
/// in the next; and one that ends while another request kills the endpoint, when it is alive again.
#[allow(unreachable_pub, unnameable_types, reason = "sealed")]
#[derive(Debug)]
pub struct Attempts {
    accrual: Mutex<FailureAccrual>,
    fresh: Fresh,
    known: Known,
    start: Instant,
}

/// What each success writes, in cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Fresh(AtomicU64);

/// What each request reads. Written with the accrual locked.
#[derive(Debug)]
#[repr(align(128))]
struct Known {
    /// Of the endpoint, or [`NOT_ALIVE`].
    life: AtomicU64,
    /// Until when successes are only counted. Nanoseconds since the start.
    until: AtomicU64,
}

/// The accrual, which knows of all successes. When it is dropped, others know what has become of it.
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

    /// Begins a request, if the endpoint is alive.
    pub(super) fn begin(&self) -> Option<Attempt> {
        match self.known.life.load(Ordering::Relaxed) {
            NOT_ALIVE => None,
            life => Some(Attempt::of_alive(life)),
        }
    }

    /// Ends a request, if that changes nothing but a count.
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
        let accrual = self.accrual.lock();
        let mut accrual = accrual.unwrap_or_else(PoisonError::into_inner);
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
        // Mostly they are so already.
        if life.load(Ordering::Relaxed) != alive {
            life.store(alive, Ordering::Relaxed);
            self.attempts.fresh.0.store(0, Ordering::Relaxed);
        }
        if until.load(Ordering::Relaxed) != step {
            until.store(step, Ordering::Relaxed);
        }
    }
}

/// No endpoint has as many lives.
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
        /// Each request ends before the next begins; the oracle is the accrual that is told of each.
        #[test]
        fn the_accrual_finds_what_it_would_if_it_was_told_of_each(
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

    /// Two successes, while the accrual is told of what there is: with four requests in all the rate counts, not before.
    #[test]
    fn each_success_is_told_once() {
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
