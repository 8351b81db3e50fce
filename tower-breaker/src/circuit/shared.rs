//! The breaker that clones of a service share, in which requests that only change a count take no lock.

use std::fmt;
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;
use tower_classify::Class;
use tower_readiness::{Observer, event, ignore_poison};
use tower_util::InvalidPolicy;
use tower_util::rng::SplitMix;

use super::waiters::{Place, Waiters, WakeList};
use crate::Event;
use crate::call::Ledger;
use crate::error::Open;
use crate::policy::{BreakerPolicy, Circuit, Outcome, State, Step, Ticket};
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering};

/// A [`Circuit`], and the successes that it has not recorded yet.
///
/// While the circuit is closed, a success only increments a counter, until the current step of the circuit's window
/// ends. The circuit records the counted successes before anything else, so its decisions are the same. There are two
/// accepted inaccuracies: a success that ends together with a step may count in the next step, and a success that ends
/// while another request opens the circuit may count once it is closed again.
#[allow(unreachable_pub, unnameable_types, reason = "sealed")]
pub struct Shared {
    machine: Mutex<Machine>,
    fresh: Fresh,
    known: Known,
    start: Instant,
    /// Whether successes are counted: otherwise it matters only that there was one.
    counts: bool,
    slow: Option<Duration>,
    observer: Observer<Event>,
}

struct Machine {
    circuit: Circuit,
    rng: SplitMix,
    waiters: Waiters,
}

/// The successes not recorded yet. Each success writes here, so it has its own cache lines.
#[derive(Default)]
#[repr(align(128))]
struct Fresh(AtomicU64);

/// A copy of the part of the circuit that each request reads. Written with the machine locked, before the wakers are
/// taken: if a waiter reads the word that it read when it registered its waker, the waker is still registered or is about
/// to be woken.
#[repr(align(128))]
struct Known {
    /// Twice the life of the circuit, plus 1 if it is closed.
    word: AtomicU64,
    /// Until when a success only increments the counter, in nanoseconds since the start.
    until: AtomicU64,
}

/// The locked machine, with all successes recorded. Dropping it updates [`Known`], unlocks, wakes the waiters, and then
/// notifies the observer.
struct Locked<'a> {
    shared: &'a Shared,
    /// `None` while it is being dropped.
    machine: Option<MutexGuard<'a, Machine>>,
    event: Option<Event>,
    wake_all: bool,
}

impl Shared {
    pub(crate) fn new(
        policy: BreakerPolicy,
        rng: SplitMix,
        observer: Observer<Event>,
    ) -> Result<Self, InvalidPolicy> {
        let (counts, slow) = (policy.has_window(), policy.slow_threshold());
        let circuit = Circuit::new(policy)?;
        let shared = Self {
            machine: Mutex::new(Machine {
                circuit,
                rng,
                waiters: Waiters::new(),
            }),
            fresh: Fresh::default(),
            known: Known {
                word: AtomicU64::new(0),
                until: AtomicU64::new(0),
            },
            start: Instant::now(),
            counts,
            slow,
            observer,
        };
        drop(shared.lock());
        Ok(shared)
    }

    pub(crate) fn state(&self) -> State {
        self.lock().circuit().state(Instant::now())
    }

    pub(crate) fn control(&self, change: impl FnOnce(&mut Circuit) -> Option<Event>) {
        let mut locked = self.lock();
        let life = locked.circuit().life();
        locked.event = change(locked.circuit());
        locked.wake_all = locked.circuit().life() != life;
    }

    /// Begins a request, unless the breaker is open.
    #[inline]
    pub(crate) fn begin(&self) -> Result<Ticket, Open> {
        let word = self.known.word.load(Ordering::Relaxed);
        match is_closed(word) {
            true => Ok(Ticket::new(life(word))),
            false => self.begin_locked(),
        }
    }

    #[cfg(all(test, not(tower_loom)))]
    pub(super) fn watchers(&self) -> usize {
        self.lock().machine().waiters.len()
    }

    #[cold]
    fn begin_locked(&self) -> Result<Ticket, Open> {
        let now = Instant::now();
        let mut locked = self.lock();
        // Those that wait for the time to be over have timers of their own.
        locked.event = locked.circuit().advance(now);
        locked.circuit().begin(now)
    }

    /// Returns whether a request may begin, without beginning it.
    #[inline]
    pub(crate) fn check(&self) -> Result<(), Open> {
        match is_closed(self.known.word.load(Ordering::Relaxed)) {
            true => Ok(()),
            false => self.lock().circuit().check(Instant::now()),
        }
    }

    /// Like [`check`](Self::check), and wakes `waker` at the next change of the state, or when a probe frees its place. The
    /// error is when to check again nevertheless.
    pub(crate) fn check_and_watch(
        &self,
        place: &mut Place,
        waker: &Waker,
    ) -> (u64, Result<(), Option<Instant>>) {
        let now = Instant::now();
        let mut locked = self.lock();
        let circuit = locked.circuit();
        let checked = circuit.check(now).map_err(|_| circuit.due());
        let word = circuit.word();
        let outdated = locked.machine().waiters.set(place, waker);
        drop(locked);
        drop(outdated);
        (word, checked)
    }

    /// Returns whether the breaker is closed, and no change has happened since the word was read.
    #[inline]
    pub(crate) fn is_still_closed(&self, word: u64) -> bool {
        is_closed(word) && self.known.word.load(Ordering::Acquire) == word
    }

    pub(crate) fn is_closed(&self) -> bool {
        is_closed(self.known.word.load(Ordering::Relaxed))
    }

    /// Returns whether the state has not changed since the request began.
    pub(crate) fn is_current(&self, ticket: &Ticket) -> bool {
        life(self.known.word.load(Ordering::Relaxed)) == ticket.life()
    }

    pub(crate) fn leave(&self, place: &Place) {
        let mut locked = self.lock();
        let waker = locked.machine().waiters.remove(place);
        drop(locked);
        drop(waker);
    }

    /// Reports that a request was rejected.
    #[cold]
    pub(crate) fn reject(&self, open: Open) {
        let retry_after = open.retry_after();
        self.emit(Event::Rejected { retry_after });
    }

    fn emit(&self, event: Event) {
        event!(DEBUG, ?event, "circuit breaker");
        self.observer.notify(&event);
    }

    fn lock(&self) -> Locked<'_> {
        let mut machine = ignore_poison(self.machine.lock());
        if self.fresh.0.load(Ordering::Relaxed) != 0 {
            machine
                .circuit
                .succeeded(self.fresh.0.swap(0, Ordering::Relaxed));
        }
        Locked {
            shared: self,
            machine: Some(machine),
            event: None,
            wake_all: false,
        }
    }

    fn nanos(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.start);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Counts a success of a closed circuit. Returns `false` if that changes more than a count.
    #[inline]
    fn succeeded(&self, now: Option<Instant>) -> bool {
        let fresh = &self.fresh.0;
        if !self.counts {
            // A load keeps the cache line shared.
            if fresh.load(Ordering::Relaxed) == 0 {
                fresh.store(1, Ordering::Relaxed);
            }
            return true;
        }
        let now = now.unwrap_or_else(Instant::now);
        let within = self.nanos(now) < self.known.until.load(Ordering::Relaxed);
        if within {
            fresh.fetch_add(1, Ordering::Relaxed);
        }
        within
    }

    #[inline]
    fn was_slow(&self, began: Option<Instant>, now: Option<Instant>) -> bool {
        match (self.slow, began, now) {
            (Some(threshold), Some(began), Some(now)) => {
                now.saturating_duration_since(began) >= threshold
            }
            _ => false,
        }
    }

    #[cold]
    fn end_locked(&self, ticket: Ticket, outcome: Outcome, now: Instant) {
        let mut locked = self.lock();
        let was_closed = locked.circuit().is_closed();
        let Machine { circuit, rng, .. } = locked.machine();
        locked.event = circuit.end(ticket, outcome, now, rng);
        // A probe has ended: there is a place for another, or the state has changed.
        locked.wake_all = !was_closed || locked.event.is_some();
    }
}

impl Ledger for Shared {
    type Ticket = Ticket;

    #[inline]
    fn measures_time(&self) -> bool {
        self.slow.is_some()
    }

    #[inline]
    fn end(&self, ticket: Ticket, class: Class, began: Option<Instant>) {
        let word = self.known.word.load(Ordering::Relaxed);
        if life(word) != ticket.life() {
            return;
        }
        let now = began.map(|_| Instant::now());
        if is_closed(word) && !self.was_slow(began, now) {
            let counted = match class {
                Class::Success => self.succeeded(now),
                Class::Ignored => true,
                _ => false,
            };
            if counted {
                return;
            }
        }
        let now = now.unwrap_or_else(Instant::now);
        self.end_locked(ticket, Outcome::between(class, began, now), now);
    }
}

impl Locked<'_> {
    fn machine(&mut self) -> &mut Machine {
        self.machine.as_mut().expect("until it is dropped")
    }

    fn circuit(&mut self) -> &mut Circuit {
        &mut self.machine().circuit
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let Known { word, until } = &self.shared.known;
        let circuit = self.circuit();
        let new = circuit.word();
        let step = match circuit.step() {
            Step::Endless => u64::MAX,
            Step::Until(end) => self.shared.nanos(end),
            Step::NotBegun => 0,
        };
        // Usually they are unchanged, and a load keeps the cache line shared.
        if word.load(Ordering::Relaxed) != new {
            word.store(new, Ordering::Release);
        }
        if until.load(Ordering::Relaxed) != step {
            until.store(step, Ordering::Relaxed);
        }
        let wake_list = match self.wake_all {
            true => self.machine().waiters.take(),
            false => WakeList::default(),
        };
        self.machine = None;
        drop(wake_list);
        if let Some(event) = self.event {
            self.shared.emit(event);
        }
    }
}

impl Circuit {
    fn word(&self) -> u64 {
        self.life().wrapping_mul(2) + u64::from(self.is_closed())
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker")
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

const fn life(word: u64) -> u64 {
    word / 2
}

const fn is_closed(word: u64) -> bool {
    word % 2 == 1
}

#[cfg(all(test, not(tower_loom)))]
mod tests {
    use proptest::prelude::*;
    use tower_classify::FailureKind;

    use super::*;

    const FAILED: Class = Class::failure(FailureKind::Internal);
    const SECOND: Duration = Duration::from_secs(1);

    fn policies() -> impl Strategy<Value = BreakerPolicy> {
        let never = BreakerPolicy::never;
        prop_oneof![
            Just(never().consecutive_failures(3)),
            Just(never().failure_ratio(0.4).window(SECOND, 4)),
            Just(never().slow_calls(0.4, SECOND / 10).window(SECOND, 4)),
            Just(BreakerPolicy::standard().window(SECOND, 10)),
        ]
    }

    proptest! {
        /// Each request ends before the next begins. The oracle is a plain circuit that records each request.
        #[test]
        fn counted_successes_lead_to_the_same_decisions(
            policy in policies(),
            requests in prop::collection::vec((0_u64..150, 0_u64..2000, 0..8), 0..200),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .unwrap();
            runtime.block_on(async {
                let mut rng = SplitMix::with_seed(1);
                let mut plain = Circuit::new(policy.clone()).unwrap();
                let shared = Shared::new(policy, rng.clone(), Observer::none()).unwrap();
                for (took, pause, result) in requests {
                    let class = match result {
                        0..4 => Class::Success,
                        4..7 => FAILED,
                        _ => Class::Ignored,
                    };
                    let began = Instant::now();
                    let (expected, begun) = (plain.begin(began), shared.begin());
                    prop_assert_eq!(expected.is_ok(), begun.is_ok());
                    let took = Duration::from_millis(took);
                    tokio::time::advance(took).await;
                    if let (Ok(expected), Ok(begun)) = (expected, begun) {
                        let outcome = Outcome::new(class, took);
                        plain.end(expected, outcome, Instant::now(), &mut rng);
                        let began = shared.measures_time().then_some(began);
                        shared.end(begun, class, began);
                    }
                    prop_assert_eq!(shared.state(), plain.state(Instant::now()));
                    // Mostly short: only an open circuit needs longer ones.
                    if pause > 1800 {
                        tokio::time::advance(SECOND * 10).await;
                    }
                }
                Ok(())
            })?;
        }
    }
}

#[cfg(all(test, tower_loom))]
mod loom_tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use loom::sync::Arc;
    use loom::thread;
    use tower_classify::FailureKind;

    use super::*;

    const FAILED: Class = Class::failure(FailureKind::Internal);

    fn shared(policy: BreakerPolicy) -> Arc<Shared> {
        let rng = SplitMix::with_seed(1);
        Arc::new(Shared::new(policy, rng, Observer::none()).unwrap())
    }

    /// Two successes are counted while the circuit records what is counted so far. Two failures of four open it.
    #[test]
    fn each_success_is_recorded_once() {
        loom::model(|| {
            let policy = BreakerPolicy::never().failure_ratio(0.5);
            let shared = shared(policy.window(Duration::from_secs(1000), 4));
            // Begins the first step of the window.
            shared.end(shared.begin().unwrap(), FAILED, None);
            let other = {
                let shared = Arc::clone(&shared);
                thread::spawn(move || shared.end(shared.begin().unwrap(), Class::Success, None))
            };
            shared.end(shared.begin().unwrap(), Class::Success, None);
            shared.state();
            other.join().unwrap();
            assert_eq!(shared.state(), State::Closed);
            shared.end(shared.begin().unwrap(), FAILED, None);
            assert!(shared.begin().is_err());
        });
    }

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A task that polls while the breaker opens finds it open, or is woken.
    #[test]
    fn no_change_is_missed() {
        loom::model(|| {
            let shared = shared(BreakerPolicy::never());
            let other = {
                let shared = Arc::clone(&shared);
                thread::spawn(move || shared.control(Circuit::force_open))
            };
            let woken = std::sync::Arc::new(Woken::default());
            let waker = Waker::from(std::sync::Arc::clone(&woken));
            let mut place = Place::default();
            let (word, checked) = shared.check_and_watch(&mut place, &waker);
            let found_open = checked.is_err() || !shared.is_still_closed(word);
            other.join().unwrap();
            let woken = woken.0.load(Ordering::Relaxed);
            assert!(found_open || woken == 1);
            assert!(shared.check().is_err());
        });
    }
}
