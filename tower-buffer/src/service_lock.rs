//! The number of free slots of the queue, and a lock around the service, in one word.
//!
//! A request takes a slot, locks the service, and unlocks it while it releases the slot: with one word these are three atomic
//! operations on one cache line.
#![allow(unsafe_code, reason = "the flag `BUSY` guards the value")]

use std::fmt;

use crate::sync::{AtomicUsize, Ordering, UnsafeCell};

/// A value behind a lock that is only tried, never waited for, and the number of free slots.
pub(crate) struct ServiceLock<T> {
    /// The flags below, and [`FREE`] for each free slot.
    word: AtomicUsize,
    /// # Invariant
    ///
    /// Only accessed by the thread that has set [`BUSY`], until it clears it.
    value: UnsafeCell<T>,
    /// The maximum number of pauses during which a caller that finds the lock taken tries again.
    spin_limit: AtomicUsize,
}

/// A thread holds the lock.
const BUSY: usize = 1;
/// The thread that unlocks must wake the worker.
const NOTIFY: usize = 2;
/// Handles wait for a slot, so the thread that releases one must grant it to a waiter.
const WAITERS: usize = 4;
/// Requests are queued. No caller overtakes them, and the thread that unlocks serves them.
const QUEUED: usize = 8;
/// The buffer is closed: threads lock only to drop the service.
const CLOSED: usize = 16;
const FREE: usize = 32;

const MAX_SLOTS: usize = usize::MAX / FREE / 2;

// SAFETY: as with a `Mutex`, one thread at a time has access to the value.
unsafe impl<T: Send> Sync for ServiceLock<T> {}

impl<T> ServiceLock<T> {
    pub(crate) fn new(slots: usize, value: T) -> Self {
        Self {
            word: AtomicUsize::new(slots.min(MAX_SLOTS) * FREE),
            value: UnsafeCell::new(value),
            spin_limit: AtomicUsize::new(MAX_SPIN),
        }
    }

    // ## Slots

    /// Takes a slot, unless none is free, handles wait for one, or the buffer is closed.
    #[inline]
    pub(crate) fn try_take_slot(&self) -> bool {
        self.update(|word| (word >= FREE && word & (WAITERS | CLOSED) == 0).then(|| word - FREE))
            .is_some()
    }

    /// Returns whether nothing is queued and no handle waits. Then a caller needs no slot, even if idle handles hold all.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        let word = self.word.load(Ordering::Acquire);
        word & (WAITERS | QUEUED | CLOSED) == 0
    }

    /// Returns whether a slot is free, even if handles wait for it.
    pub(crate) fn has_slot(&self) -> bool {
        self.word.load(Ordering::Acquire) >= FREE
    }

    /// Takes a slot if one is free, even if handles wait for it.
    pub(crate) fn take_any_slot(&self) -> bool {
        self.update(|word| (word >= FREE).then(|| word - FREE))
            .is_some()
    }

    /// Releases a slot. Returns whether handles wait for one.
    #[must_use]
    pub(crate) fn release_slot(&self) -> bool {
        self.word.fetch_add(FREE, Ordering::AcqRel) & WAITERS != 0
    }

    // ## Flags: set and cleared under the lock of the state that they describe

    /// Sets the flag that [`release_slot`](Self::release_slot) returns. A slot that was released before is found by a later
    /// [`take_any_slot`](Self::take_any_slot).
    pub(crate) fn set_waiters(&self) {
        self.word.fetch_or(WAITERS, Ordering::AcqRel);
    }

    pub(crate) fn clear_waiters(&self) {
        self.word.fetch_and(!WAITERS, Ordering::AcqRel);
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

    /// Locks, unless requests are queued, the buffer is closed, or another thread holds the lock for longer than the spin
    /// limit.
    #[inline]
    pub(crate) fn try_lock(&self) -> Option<Guard<'_, T>> {
        match self.update(|word| locked(word, 0)) {
            Some(_) => Some(Guard { lock: self }),
            None => self.spin(),
        }
    }

    /// Locks to serve queued requests, unless there are none, another thread holds the lock, or the buffer is closed.
    pub(crate) fn try_lock_to_serve(&self) -> Option<Guard<'_, T>> {
        self.update(|word| locked(word, QUEUED))?;
        Some(Guard { lock: self })
    }

    /// Spins while another thread holds the lock, as most calls take less time than queueing: up to the spin limit, which
    /// doubles when spinning succeeds and halves when it does not. It falls to zero if the holder is often preempted.
    #[cold]
    fn spin(&self) -> Option<Guard<'_, T>> {
        let limit = self.spin_limit.load(Ordering::Relaxed);
        let (mut spun, mut pauses) = (0, FIRST_PAUSES);
        while spun < limit {
            // Exponential backoff: of two threads that contend, both are faster if one backs off.
            for _ in 0..pauses {
                std::hint::spin_loop();
            }
            spun += pauses;
            pauses *= 2;
            let word = self.word.load(Ordering::Relaxed);
            if word & (QUEUED | CLOSED) != 0 {
                return None;
            }
            if word & BUSY == 0 && self.update(|word| locked(word, 0)).is_some() {
                self.set_spin_limit(limit, (limit * 2).min(MAX_SPIN));
                return Some(Guard { lock: self });
            }
        }
        self.set_spin_limit(limit, limit / 2);
        None
    }

    /// Raises the spin limit: a caller queued a request and then found the lock free, so a longer spin would have succeeded.
    pub(crate) fn spin_more(&self) {
        let limit = self.spin_limit.load(Ordering::Relaxed);
        self.set_spin_limit(limit, (limit * 2).clamp(FIRST_PAUSES, MAX_SPIN));
    }

    fn set_spin_limit(&self, old: usize, new: usize) {
        if new != old {
            self.spin_limit.store(new, Ordering::Relaxed);
        }
    }

    /// Locks regardless of the flags. If another thread holds the lock, it wakes the worker when it unlocks.
    pub(crate) fn lock_or_notify(&self) -> Option<Guard<'_, T>> {
        let before = self
            .update(|word| {
                Some(if word & BUSY == 0 {
                    word | BUSY
                } else {
                    word | NOTIFY
                })
            })
            .expect("the closure returns `Some`");
        (before & BUSY == 0).then(|| Guard { lock: self })
    }

    /// Replaces the word by `next` of it, unless that is `None`. Returns the word before.
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

/// Returns the word with the lock taken, if no thread holds it, the buffer is open, and `QUEUED` is as given.
fn locked(word: usize, queued: usize) -> Option<usize> {
    (word & (BUSY | QUEUED | CLOSED) == queued).then_some(word | BUSY)
}

/// Access to the value. A guard is released by [`unlock`](Self::unlock).
pub(crate) struct Guard<'a, T> {
    lock: &'a ServiceLock<T>,
}

/// What the thread that has unlocked must do.
#[must_use]
#[derive(Clone, Copy)]
pub(crate) struct Unlocked(usize);

impl Unlocked {
    #[inline]
    pub(crate) fn nothing_to_do(self) -> bool {
        self.0 & (NOTIFY | WAITERS | QUEUED) == 0
    }

    /// Whether it must wake the worker.
    pub(crate) fn notify_worker(self) -> bool {
        self.0 & NOTIFY != 0
    }

    /// Whether it must grant the free slots to the handles that wait.
    pub(crate) fn has_waiters(self) -> bool {
        self.0 & WAITERS != 0
    }

    /// Whether it must serve the queued requests.
    pub(crate) fn queued(self) -> bool {
        self.0 & QUEUED != 0
    }
}

impl<T> Guard<'_, T> {
    #[inline]
    pub(crate) fn with<R>(&mut self, f: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: this guard's thread has set `BUSY`, and there is one `Guard` for each time it is set.
        self.lock.value.with_mut(|value| f(unsafe { &mut *value }))
    }

    /// Unlocks, and releases `slots` slots.
    #[inline]
    pub(crate) fn unlock(self, slots: usize) -> Unlocked {
        let lock = self.lock;
        std::mem::forget(self);
        let before = lock
            .word
            .fetch_add((slots * FREE).wrapping_sub(BUSY), Ordering::AcqRel);
        if before & NOTIFY != 0 {
            lock.word.fetch_and(!NOTIFY, Ordering::AcqRel);
        }
        Unlocked(before)
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        // Reached only if this crate panics with the lock held, which is a bug. The lock does not stay taken.
        self.lock.word.fetch_sub(BUSY, Ordering::AcqRel);
    }
}

impl<T> fmt::Debug for ServiceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.word.load(Ordering::Acquire);
        f.debug_struct("ServiceLock")
            .field("busy", &(word & BUSY != 0))
            .field("queued", &(word & QUEUED != 0))
            .field("closed", &(word & CLOSED != 0))
            .field("free", &(word / FREE))
            .finish_non_exhaustive()
    }
}

/// Two to five microseconds, depending on the processor: longer than most services' `call`.
const MAX_SPIN: usize = if cfg!(tower_loom) { 1 } else { 120 };
/// 200 nanoseconds, in which the holder completes several calls before the cache line moves to this core.
const FIRST_PAUSES: usize = if cfg!(tower_loom) { 1 } else { 8 };

#[cfg(all(test, tower_loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    #[test]
    fn one_thread_at_a_time_holds_the_lock_and_no_slot_is_lost() {
        loom::model(|| {
            let lock = Arc::new(ServiceLock::new(2, 0));
            let work = |lock: &ServiceLock<i32>| {
                assert!(lock.try_take_slot());
                match lock.try_lock() {
                    Some(mut guard) => {
                        guard.with(|value| *value += 1);
                        let _ = guard.unlock(1);
                        1
                    }
                    None => {
                        let _ = lock.release_slot();
                        0
                    }
                }
            };
            let other = {
                let lock = lock.clone();
                thread::spawn(move || work(&lock))
            };
            let sum = work(&lock) + other.join().unwrap();
            assert!(sum >= 1);
            lock.lock_or_notify()
                .unwrap()
                .with(|value| assert_eq!(*value, sum));
            assert!(lock.try_take_slot() && lock.try_take_slot() && !lock.try_take_slot());
        });
    }

    /// A worker that finds the lock taken is woken when it is released.
    #[test]
    fn the_worker_locks_or_is_woken() {
        loom::model(|| {
            let lock = Arc::new(ServiceLock::new(1, ()));
            let caller = {
                let lock = lock.clone();
                thread::spawn(move || {
                    lock.try_lock()
                        .is_some_and(|guard| guard.unlock(0).notify_worker())
                })
            };
            let locked = lock
                .lock_or_notify()
                .map(|guard| guard.unlock(0).notify_worker())
                .is_some();
            let woken = caller.join().unwrap();
            assert!(locked || woken);
        });
    }

    /// A handle that finds no slot and sets the flag is seen by the thread that releases one.
    #[test]
    fn no_released_slot_is_missed() {
        loom::model(|| {
            let lock = Arc::new(ServiceLock::new(1, ()));
            assert!(lock.try_take_slot());
            let other = {
                let lock = lock.clone();
                thread::spawn(move || lock.release_slot())
            };
            lock.set_waiters();
            let taken = lock.take_any_slot();
            assert!(other.join().unwrap() || taken);
        });
    }

    /// No caller overtakes the queued requests.
    #[test]
    fn no_caller_overtakes_the_queue() {
        loom::model(|| {
            let lock = Arc::new(ServiceLock::new(1, 0));
            let other = {
                let lock = lock.clone();
                thread::spawn(move || {
                    if let Some(mut guard) = lock.try_lock() {
                        guard.with(|value| *value = 1);
                        let _ = guard.unlock(0);
                    }
                })
            };
            lock.set_queued(true);
            let before = lock.lock_or_notify().map(|mut guard| {
                let value = guard.with(|value| *value);
                let _ = guard.unlock(0);
                value
            });
            other.join().unwrap();
            // A caller that had not locked before the worker did must not have locked since.
            if let Some(before) = before {
                lock.lock_or_notify()
                    .unwrap()
                    .with(|value| assert_eq!(*value, before));
            }
        });
    }
}
