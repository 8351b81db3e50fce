//! The free places of the queue, and a lock around the service, in one word.
//!
//! A request takes a place, enters, and leaves with its place given back. In one word these are three atomic operations,
//! all of them on one cache line.
#![allow(unsafe_code, reason = "the flag `BUSY` guards the value")]

use std::fmt;

use crate::sync::{AtomicUsize, Ordering, UnsafeCell};

/// A value behind a try-lock, and a count of free places. Having the lock is called being inside.
pub(crate) struct Gate<T> {
    /// The flags below, and [`FREE`] for each free place.
    word: AtomicUsize,
    /// # Invariant
    ///
    /// Only used by the thread that has set [`BUSY`], until it clears it.
    value: UnsafeCell<T>,
    /// For how many pauses a caller that finds it busy tries again, at most.
    spin_limit: AtomicUsize,
}

/// A thread is inside.
const BUSY: usize = 1;
/// The worker is to be woken by the thread that leaves.
const WANTED: usize = 2;
/// Handles wait for a place, so one that is given back must be granted to them.
const LOOK: usize = 4;
/// Requests are queued. No caller overtakes them, and the thread that leaves serves them.
const QUEUED: usize = 8;
/// Threads enter only to clean up.
const CLOSED: usize = 16;
const FREE: usize = 32;

const MAX_PLACES: usize = usize::MAX / FREE / 2;

// SAFETY: as a `Mutex`, it gives out the value to one at a time.
unsafe impl<T: Send> Sync for Gate<T> {}

impl<T> Gate<T> {
    pub(crate) fn new(places: usize, value: T) -> Self {
        Self {
            word: AtomicUsize::new(places.min(MAX_PLACES) * FREE),
            value: UnsafeCell::new(value),
            spin_limit: AtomicUsize::new(MAX_SPIN),
        }
    }

    // ## Places

    /// Takes a place, unless none is free, handles wait for one, or the gate is closed.
    #[inline]
    pub(crate) fn try_take(&self) -> bool {
        self.update(|word| (word >= FREE && word & (LOOK | CLOSED) == 0).then(|| word - FREE))
            .is_some()
    }

    /// Returns whether nothing is queued and no handle waits. Then a caller needs no place, even if idle handles have all.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        let word = self.word.load(Ordering::Acquire);
        word & (LOOK | QUEUED | CLOSED) == 0
    }

    /// Returns whether a place is free, also if handles wait for it.
    pub(crate) fn has_place(&self) -> bool {
        self.word.load(Ordering::Acquire) >= FREE
    }

    /// Takes a place, unless there is none.
    pub(crate) fn take_any(&self) -> bool {
        self.update(|word| (word >= FREE).then(|| word - FREE))
            .is_some()
    }

    /// Gives a place back. Returns whether handles wait for one.
    #[must_use]
    pub(crate) fn give_back(&self) -> bool {
        self.word.fetch_add(FREE, Ordering::AcqRel) & LOOK != 0
    }

    // ## Flags: set and taken back under the lock of what they tell about

    /// From now on [`give_back`](Self::give_back) tells to look. A place given back before is found by a
    /// [`take_any`](Self::take_any) after this.
    pub(crate) fn look(&self) {
        self.word.fetch_or(LOOK, Ordering::AcqRel);
    }

    pub(crate) fn look_no_more(&self) {
        self.word.fetch_and(!LOOK, Ordering::AcqRel);
    }

    pub(crate) fn set_queued(&self, queued: bool) {
        if queued {
            self.word.fetch_or(QUEUED, Ordering::AcqRel);
        } else {
            self.word.fetch_and(!QUEUED, Ordering::AcqRel);
        }
    }

    pub(crate) fn is_queued(&self) -> bool {
        self.word.load(Ordering::Acquire) & QUEUED != 0
    }

    pub(crate) fn close(&self) {
        self.word.fetch_or(CLOSED, Ordering::AcqRel);
    }

    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.word.load(Ordering::Acquire) & CLOSED != 0
    }

    // ## The value

    /// Enters, unless requests are queued, the gate is closed, or another thread stays inside for longer than the spin limit.
    #[inline]
    pub(crate) fn try_enter(&self) -> Option<Inside<'_, T>> {
        match self.update(|word| enter(word, 0)) {
            Some(_) => Some(Inside { gate: self }),
            None => self.spin(),
        }
    }

    /// Enters to serve queued requests, unless there are none, a thread is inside, or the gate is closed.
    pub(crate) fn try_enter_to_serve(&self) -> Option<Inside<'_, T>> {
        self.update(|word| enter(word, QUEUED))?;
        Some(Inside { gate: self })
    }

    /// Spins while another thread is inside, as most calls take less time than queueing: up to the spin limit, which
    /// doubles when that helped and halves when it did not. It falls to zero where the thread inside is preempted.
    #[cold]
    fn spin(&self) -> Option<Inside<'_, T>> {
        let limit = self.spin_limit.load(Ordering::Relaxed);
        let (mut spun, mut pauses) = (0, FIRST_PAUSES);
        while spun < limit {
            // Longer each time: two threads that contend are both faster if one backs off.
            for _ in 0..pauses {
                std::hint::spin_loop();
            }
            spun += pauses;
            pauses *= 2;
            let word = self.word.load(Ordering::Relaxed);
            if word & (QUEUED | CLOSED) != 0 {
                return None;
            }
            if word & BUSY == 0 && self.update(|word| enter(word, 0)).is_some() {
                self.set_spin_limit(limit, (limit * 2).min(MAX_SPIN));
                return Some(Inside { gate: self });
            }
        }
        self.set_spin_limit(limit, limit / 2);
        None
    }

    /// Raises the spin limit: a caller queued a request and then found the gate free, so spinning longer would have helped.
    pub(crate) fn spin_more(&self) {
        let limit = self.spin_limit.load(Ordering::Relaxed);
        self.set_spin_limit(limit, (limit * 2).clamp(FIRST_PAUSES, MAX_SPIN));
    }

    fn set_spin_limit(&self, old: usize, new: usize) {
        if new != old {
            self.spin_limit.store(new, Ordering::Relaxed);
        }
    }

    /// Enters regardless of the flags. If a thread is inside, it wakes the worker when it leaves.
    pub(crate) fn want(&self) -> Option<Inside<'_, T>> {
        let before = self
            .update(|word| {
                Some(if word & BUSY == 0 {
                    word | BUSY
                } else {
                    word | WANTED
                })
            })
            .expect("there is always a next");
        (before & BUSY == 0).then(|| Inside { gate: self })
    }

    /// What the word was before it was changed.
    #[inline]
    fn update(&self, next: impl Fn(usize) -> Option<usize>) -> Option<usize> {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            match self.word.compare_exchange_weak(
                word,
                next(word)?,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(before) => return Some(before),
                Err(current) => word = current,
            }
        }
    }
}

/// Returns the word after entering, if no thread is inside and `QUEUED` is as given.
fn enter(word: usize, queued: usize) -> Option<usize> {
    (word & (BUSY | QUEUED | CLOSED) == queued).then_some(word | BUSY)
}

/// Proof of being inside.
pub(crate) struct Inside<'a, T> {
    gate: &'a Gate<T>,
}

/// What the thread that leaves has to do.
#[must_use]
#[derive(Clone, Copy)]
pub(crate) struct Left(usize);

impl Left {
    #[inline]
    pub(crate) fn nothing_to_do(self) -> bool {
        self.0 & (WANTED | LOOK | QUEUED) == 0
    }

    /// Wake the worker.
    pub(crate) fn wanted(self) -> bool {
        self.0 & WANTED != 0
    }

    /// Grant places to the handles that wait.
    pub(crate) fn look(self) -> bool {
        self.0 & LOOK != 0
    }

    /// Serve what is queued.
    pub(crate) fn queued(self) -> bool {
        self.0 & QUEUED != 0
    }
}

impl<T> Inside<'_, T> {
    #[inline]
    pub(crate) fn with<R>(&mut self, f: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: we have set `BUSY`, and there is one `Inside` for that.
        self.gate.value.with_mut(|value| f(unsafe { &mut *value }))
    }

    /// Leaves, and gives `places` back.
    #[inline]
    pub(crate) fn leave(self, places: usize) -> Left {
        let gate = self.gate;
        std::mem::forget(self);
        let before = gate
            .word
            .fetch_add((places * FREE).wrapping_sub(BUSY), Ordering::AcqRel);
        if before & WANTED != 0 {
            gate.word.fetch_and(!WANTED, Ordering::AcqRel);
        }
        Left(before)
    }
}

impl<T> Drop for Inside<'_, T> {
    fn drop(&mut self) {
        // Only if a bug of ours panics inside: at least it does not stay shut.
        self.gate.word.fetch_sub(BUSY, Ordering::AcqRel);
    }
}

impl<T> fmt::Debug for Gate<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.word.load(Ordering::Acquire);
        f.debug_struct("Gate")
            .field("busy", &(word & BUSY != 0))
            .field("queued", &(word & QUEUED != 0))
            .field("closed", &(word & CLOSED != 0))
            .field("free", &(word / FREE))
            .finish_non_exhaustive()
    }
}

/// Two to five microseconds, depending on the processor: longer than most services take to be called.
const MAX_SPIN: usize = if cfg!(tower_loom) { 1 } else { 120 };
/// 200 nanoseconds, in which the other gets some calls done before the word changes hands.
const FIRST_PAUSES: usize = if cfg!(tower_loom) { 1 } else { 8 };

#[cfg(all(test, tower_loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    #[test]
    fn one_at_a_time_is_inside_and_no_place_is_lost() {
        loom::model(|| {
            let gate = Arc::new(Gate::new(2, 0));
            let work = |gate: &Gate<i32>| {
                assert!(gate.try_take());
                match gate.try_enter() {
                    Some(mut inside) => {
                        inside.with(|value| *value += 1);
                        let _ = inside.leave(1);
                        1
                    }
                    None => {
                        let _ = gate.give_back();
                        0
                    }
                }
            };
            let other = {
                let gate = gate.clone();
                thread::spawn(move || work(&gate))
            };
            let sum = work(&gate) + other.join().unwrap();
            assert!(sum >= 1);
            gate.want().unwrap().with(|value| assert_eq!(*value, sum));
            assert!(gate.try_take() && gate.try_take() && !gate.try_take());
        });
    }

    /// A worker that cannot enter is woken when it can.
    #[test]
    fn the_worker_enters_or_is_told() {
        loom::model(|| {
            let gate = Arc::new(Gate::new(1, ()));
            let caller = {
                let gate = gate.clone();
                thread::spawn(move || {
                    gate.try_enter()
                        .is_some_and(|inside| inside.leave(0).wanted())
                })
            };
            let entered = gate.want().map(|inside| inside.leave(0).wanted()).is_some();
            let told = caller.join().unwrap();
            assert!(entered || told);
        });
    }

    /// A handle that finds no place and asks for one is seen when a place is given back.
    #[test]
    fn no_place_is_given_back_unseen() {
        loom::model(|| {
            let gate = Arc::new(Gate::new(1, ()));
            assert!(gate.try_take());
            let other = {
                let gate = gate.clone();
                thread::spawn(move || gate.give_back())
            };
            gate.look();
            let taken = gate.take_any();
            assert!(other.join().unwrap() || taken);
        });
    }

    /// No caller overtakes what is queued.
    #[test]
    fn nobody_enters_past_the_queue() {
        loom::model(|| {
            let gate = Arc::new(Gate::new(1, 0));
            let other = {
                let gate = gate.clone();
                thread::spawn(move || {
                    if let Some(mut inside) = gate.try_enter() {
                        inside.with(|value| *value = 1);
                        let _ = inside.leave(0);
                    }
                })
            };
            gate.set_queued(true);
            let before = gate.want().map(|mut inside| {
                let value = inside.with(|value| *value);
                let _ = inside.leave(0);
                value
            });
            other.join().unwrap();
            // If it was not inside when the worker was, it has not been there since.
            if let Some(before) = before {
                gate.want()
                    .unwrap()
                    .with(|value| assert_eq!(*value, before));
            }
        });
    }
}
