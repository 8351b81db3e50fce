//! What the clones of a service share.

use tokio::time::Instant;
use tower_classify::Class;
use tower_readiness::{Observer, event};
use tower_util::rng::{Rng, SplitMix};

use super::Event;
use super::tally::Tally;
use crate::call::Ledger;
use crate::error::Throttled;
use crate::policy::{AdmissionPolicy, Counts};
use crate::sync::{AtomicU64, Ordering};

/// A policy, its counts, and the generator of random numbers.
#[allow(unreachable_pub, unnameable_types, reason = "sealed")]
#[derive(Debug)]
pub struct Gate<P> {
    policy: P,
    tally: Tally<3>,
    /// The number of draws so far.
    draws: AtomicU64,
    seed: u64,
    observer: Observer<Event>,
}

impl<P: AdmissionPolicy> Gate<P> {
    pub(super) fn new(policy: P, seed: u64, observer: Observer<Event>) -> Self {
        Self {
            tally: Tally::new(policy.window(), Instant::now()),
            policy,
            draws: AtomicU64::new(0),
            seed,
            observer,
        }
    }

    /// Lets a request through, or rejects it.
    #[inline]
    pub(super) fn admit(&self) -> Result<(), Throttled> {
        let ([accepted, refused, throttled], covered) = self.tally.read(Instant::now());
        let counts = Counts::new(accepted, refused, throttled, covered);
        let probability = self.policy.rejection_probability(counts);
        match probability > 0.0 && self.draw() < probability {
            false => Ok(()),
            true => Err(self.reject(probability.min(1.0))),
        }
    }

    #[cold]
    fn reject(&self, probability: f64) -> Throttled {
        self.tally.increment(THROTTLED);
        let event = Event::Rejected { probability };
        event!(DEBUG, ?event, "admission control");
        self.observer.notify(&event);
        Throttled::new(probability)
    }

    /// A number from 0 up to 1. Each draw has a generator of its own, so that none is shared under a lock; the seeds are
    /// those between which SplitMix64 steps, so the numbers are those of one generator.
    fn draw(&self) -> f64 {
        let draw = self.draws.fetch_add(1, Ordering::Relaxed);
        SplitMix::with_seed(self.seed.wrapping_add(draw.wrapping_mul(GAMMA))).next_f64()
    }
}

impl<P: AdmissionPolicy> Ledger for Gate<P> {
    type Ticket = ();

    fn measures_time(&self) -> bool {
        false
    }

    #[inline]
    fn end(&self, (): (), class: Class, _began: Option<Instant>) {
        match self.policy.is_accepted(class) {
            Some(true) => self.tally.increment(ACCEPTED),
            Some(false) => self.tally.increment(REFUSED),
            None => {}
        }
    }
}

const ACCEPTED: usize = 0;
const REFUSED: usize = 1;
const THROTTLED: usize = 2;
/// The step of SplitMix64.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
