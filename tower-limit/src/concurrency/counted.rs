//! A reference-counted value with permits. Both counts share one atomic word.
//!
//! A request takes a permit, which keeps the pool alive, and returns it later. With an `Arc` and a separate count that takes
//! four atomic operations; with both counts in one word it takes two. They are most of the cost of a limit.
#![allow(unsafe_code, reason = "implements its own reference count")]

use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;

use crate::sync::{AtomicU64, Ordering, fence};

/// A reference to a value with permits. The value is dropped when the last reference and the last permit are gone.
pub(super) struct Counted<T> {
    /// # Invariant
    ///
    /// Created by `Box::leak`, and valid while this reference is counted by [`references`] of the word.
    inner: NonNull<Inner<T>>,
}

/// A permit that also holds a reference.
pub(super) struct Permit<T: Release> {
    /// Dropped manually: the permit and the reference are returned in one atomic operation.
    of: ManuallyDrop<Counted<T>>,
}

/// What to do when a permit is returned while [`NOTIFY`] is set.
pub(super) trait Release: Sized {
    /// Called after the permit has been returned.
    fn released(this: &Counted<Self>);
}

struct Inner<T> {
    /// From the lowest bit: 32 bits of references, 31 bits of free permits plus [`BIAS`], and the flag [`NOTIFY`].
    word: AtomicU64,
    value: T,
}

const REFERENCE: u64 = 1;
const FREE: u64 = 1 << 32;
/// If set, returning a permit calls [`Release::released`], and [`Counted::try_take`] fails.
const NOTIFY: u64 = 1 << 63;

const fn references(word: u64) -> u64 {
    word & (FREE - 1)
}

/// The value of the permit bits while no permit is free. Threads on the fast path may subtract below it until they undo that.
/// Only with more threads than Linux supports could the subtraction borrow from [`NOTIFY`].
const BIAS: u64 = FREE << 22;

/// The maximum number of permits. Larger numbers are reduced to it.
const MAX_PERMITS: u64 = (NOTIFY - BIAS) / FREE - 1;

/// The number of free permits from which on one is taken by an unconditional subtraction: it cannot fail under contention, as
/// a compare-and-swap can. If as many threads do so at the same time, the last of them find no permit and undo the subtraction;
/// until then the count is too low.
#[cfg(not(tower_loom))]
const FAST_PATH_FREE: u64 = 64;
#[cfg(tower_loom)]
const FAST_PATH_FREE: u64 = 1;

/// Returns whether at least `permits` are free and [`NOTIFY`] is not set. That is one comparison, as the flag is the sign bit.
const fn has_free(permits: u64, word: u64) -> bool {
    word.cast_signed() >= (BIAS + permits * FREE).cast_signed()
}

// SAFETY: as for `Arc`: a `Counted` gives shared access to the value, and may be the last owner, which drops it.
unsafe impl<T: Send + Sync> Send for Counted<T> {}
// SAFETY: the same.
unsafe impl<T: Send + Sync> Sync for Counted<T> {}

impl<T: Release> Counted<T> {
    pub(super) fn new(permits: usize, value: T) -> Self {
        let permits = (permits as u64).min(MAX_PERMITS);
        let inner = Box::new(Inner {
            word: AtomicU64::new(BIAS + permits * FREE + REFERENCE),
            value,
        });
        Self {
            inner: NonNull::from(Box::leak(inner)),
        }
    }

    /// Takes a permit, unless none is free or [`NOTIFY`] is set.
    #[inline]
    pub(super) fn try_take(&self) -> Option<Permit<T>> {
        let current = self.inner().word.load(Ordering::Relaxed);
        self.take_if(current, |word| word)
    }

    /// Takes a permit, even if [`NOTIFY`] is set. Returns `None` if none is free.
    pub(super) fn take_any(&self) -> Option<Permit<T>> {
        let current = self.inner().word.load(Ordering::Relaxed);
        self.take_if(current, |word| word & !NOTIFY)
    }

    /// Takes a permit if one is free in `seen(word)`. `current` is the last known value of the word.
    #[inline]
    fn take_if(&self, mut current: u64, seen: impl Fn(u64) -> u64) -> Option<Permit<T>> {
        let word = &self.inner().word;
        if has_free(FAST_PATH_FREE, seen(current)) {
            // The references cannot overflow: there are at most `MAX_PERMITS` permits.
            let before = word.fetch_sub(FREE - REFERENCE, Ordering::AcqRel);
            let of = ManuallyDrop::new(Self { inner: self.inner });
            let permit = Permit { of };
            if has_free(1, seen(before)) {
                return Some(permit);
            }
            current = permit.undo();
        }
        while has_free(1, seen(current)) {
            match self.exchange(current) {
                Ok(permit) => return Some(permit),
                Err(other) => current = other,
            }
        }
        None
    }

    /// Takes a permit if the word is `current`, in which one must be free. Otherwise returns the word.
    #[inline]
    fn exchange(&self, current: u64) -> Result<Permit<T>, u64> {
        let next = current - FREE + REFERENCE;
        let word = &self.inner().word;
        word.compare_exchange_weak(current, next, Ordering::AcqRel, Ordering::Relaxed)?;
        // The exchange has counted this reference.
        let of = ManuallyDrop::new(Self { inner: self.inner });
        Ok(Permit { of })
    }

    /// Creates a permit beyond the limit. When it is returned, [`forget_free`](Self::forget_free) must remove one.
    pub(super) fn overcommit(&self) -> Permit<T> {
        let of = ManuallyDrop::new(self.clone());
        Permit { of }
    }

    /// Removes a free permit for good. Returns `false` if none is free.
    pub(super) fn forget_free(&self) -> bool {
        self.take_any().is_some_and(|permit| {
            let mut permit = ManuallyDrop::new(permit);
            // SAFETY: dropped only here, as the permit itself never is. The reference is returned, and the permit is not.
            unsafe { ManuallyDrop::drop(&mut permit.of) };
            true
        })
    }

    /// Adds free permits. There must not be more than [`MAX_PERMITS`] in all.
    #[cfg(feature = "adaptive")]
    pub(super) fn add(&self, permits: usize) {
        let word = &self.inner().word;
        word.fetch_add(permits as u64 * FREE, Ordering::AcqRel);
    }

    pub(super) fn free(&self) -> usize {
        let word = self.inner().word.load(Ordering::Acquire) & !NOTIFY;
        (word.saturating_sub(BIAS) / FREE) as usize
    }

    /// Makes every return of a permit call [`Release::released`] from now on. A [`take_any`](Self::take_any) after this call
    /// sees all permits that were returned before it.
    pub(super) fn set_notify(&self) {
        self.inner().word.fetch_or(NOTIFY, Ordering::AcqRel);
    }

    /// Ends the effect of [`set_notify`](Self::set_notify).
    pub(super) fn clear_notify(&self) {
        self.inner().word.fetch_and(!NOTIFY, Ordering::AcqRel);
    }
}

impl<T> Counted<T> {
    #[inline]
    fn inner(&self) -> &Inner<T> {
        // SAFETY: valid by the invariant, and only borrowed as shared until the last reference drops it.
        unsafe { self.inner.as_ref() }
    }

    /// Drops the value. The last reference must have been subtracted with `Release` ordering.
    #[cold]
    fn drop_inner(&self) {
        // Makes all that other threads did with the value happen before it is dropped.
        fence(Ordering::Acquire);
        // SAFETY: created by `Box::leak`; there is no other reference, and none can be created.
        drop(unsafe { Box::from_raw(self.inner.as_ptr()) });
    }
}

impl<T> Deref for Counted<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner().value
    }
}

impl<T> Clone for Counted<T> {
    fn clone(&self) -> Self {
        let before = self.inner().word.fetch_add(REFERENCE, Ordering::Relaxed);
        check_overflow(before + REFERENCE);
        Self { inner: self.inner }
    }
}

impl<T> Drop for Counted<T> {
    #[inline]
    fn drop(&mut self) {
        let before = self.inner().word.fetch_sub(REFERENCE, Ordering::Release);
        if references(before) == 1 {
            self.drop_inner();
        }
    }
}

impl<T: Release> Drop for Permit<T> {
    #[inline]
    fn drop(&mut self) {
        let word = &self.of.inner().word;
        let mut current = word.load(Ordering::Relaxed);
        while current & NOTIFY == 0 {
            // Returns the permit and its reference in one operation.
            let next = current + FREE - REFERENCE;
            match word.compare_exchange_weak(current, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => {
                    if references(current) == 1 {
                        self.of.drop_inner();
                    }
                    return;
                }
                Err(other) => current = other,
            }
        }
        self.release();
    }
}

impl<T: Release> Permit<T> {
    /// Undoes a subtraction that found no free permit, or `NOTIFY` set meanwhile: the permit is returned like any other. Returns
    /// the word after that.
    #[cold]
    fn undo(self) -> u64 {
        let of = Counted::clone(&self.of);
        drop(self);
        of.inner().word.load(Ordering::Relaxed)
    }

    /// Returns the permit, then calls [`Release::released`], and drops the reference last.
    #[cold]
    fn release(&mut self) {
        self.of.inner().word.fetch_add(FREE, Ordering::AcqRel);
        T::released(&self.of);
        // SAFETY: called once, at the end of `drop`.
        unsafe { ManuallyDrop::drop(&mut self.of) }
    }
}

impl<T: fmt::Debug> fmt::Debug for Counted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: Release + fmt::Debug> fmt::Debug for Permit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}

/// Aborts, as `Arc` does, on a number of references that only leaks can reach. References of permits are not checked: there are
/// at most [`MAX_PERMITS`], and the upper half of the range is left for them.
#[inline]
fn check_overflow(word: u64) {
    if references(word) > u64::from(u32::MAX / 2) {
        std::process::abort();
    }
}

#[cfg(all(test, not(tower_loom)))]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    struct Value {
        released: AtomicUsize,
        // Its count shows whether the value has been dropped exactly once.
        _alive: Arc<()>,
    }

    impl Release for Value {
        fn released(this: &Counted<Self>) {
            this.released.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counted(permits: usize) -> (Counted<Value>, Arc<()>) {
        let alive = Arc::new(());
        let value = Value {
            released: AtomicUsize::new(0),
            _alive: alive.clone(),
        };
        (Counted::new(permits, value), alive)
    }

    #[test]
    fn gives_out_as_many_permits_as_it_has() {
        let (counted, _) = counted(2);
        let permits = [counted.try_take().unwrap(), counted.try_take().unwrap()];
        assert!(counted.try_take().is_none() && counted.take_any().is_none());
        drop(permits);
        assert_eq!(counted.free(), 2);
    }

    #[test]
    fn the_value_lives_as_long_as_a_reference_or_a_permit() {
        for permit_last in [false, true] {
            let (counted, alive) = counted(1);
            let (clone, permit) = (counted.clone(), counted.try_take().unwrap());
            drop(counted);
            assert_eq!(Arc::strong_count(&alive), 2);
            if permit_last {
                drop(clone);
                assert_eq!(Arc::strong_count(&alive), 2);
                drop(permit);
            } else {
                drop(permit);
                assert_eq!(Arc::strong_count(&alive), 2);
                drop(clone);
            }
            assert_eq!(Arc::strong_count(&alive), 1);
        }
    }

    #[test]
    fn calls_released_while_notify_is_set() {
        let (counted, alive) = counted(2);
        let permits = [counted.try_take().unwrap(), counted.try_take().unwrap()];
        counted.set_notify();
        let [first, second] = permits;
        drop(first);
        assert!(counted.try_take().is_none(), "it is for a waiter");
        assert_eq!(counted.released.load(Ordering::Relaxed), 1);
        drop(counted.take_any().unwrap());
        counted.clear_notify();
        drop(second);
        assert_eq!(counted.released.load(Ordering::Relaxed), 2);
        drop(counted);
        assert_eq!(Arc::strong_count(&alive), 1);
    }

    /// As if threads had taken the fast path at the same time, and none of them had undone its subtraction yet.
    #[test]
    fn taking_more_than_there_is_leaves_the_flag_alone() {
        for looks in [false, true] {
            let (counted, _) = counted(1);
            if looks {
                counted.set_notify();
            }
            let beyond = [(); 3].map(|()| {
                let before = counted
                    .inner()
                    .word
                    .fetch_sub(FREE - REFERENCE, Ordering::AcqRel);
                assert_eq!(before & NOTIFY != 0, looks);
                let of = ManuallyDrop::new(Counted {
                    inner: counted.inner,
                });
                Permit { of }
            });
            assert_eq!(counted.free(), 0);
            assert!(counted.try_take().is_none() && counted.take_any().is_none());
            drop(beyond);
            assert_eq!(
                counted.released.load(Ordering::Relaxed),
                if looks { 3 } else { 0 }
            );
            assert_eq!(counted.free(), 1);
            assert_eq!(counted.try_take().is_none(), looks);
        }
    }

    #[test]
    fn accepts_any_number_of_permits() {
        for permits in [0, usize::MAX] {
            let (counted, _) = counted(permits);
            assert_eq!(counted.try_take().is_some(), permits > 0);
            // The flag does not count as permits.
            let free = counted.free();
            assert_eq!(free as u64, if permits > 0 { MAX_PERMITS } else { 0 });
            counted.set_notify();
            assert_eq!(counted.free(), free);
            let permit = counted.take_any();
            assert_eq!(permit.is_some(), permits > 0);
            drop(permit);
            assert!(counted.try_take().is_none());
            counted.clear_notify();
            assert_eq!(counted.free(), free);
        }
    }

    #[test]
    fn threads_share_it() {
        let (counted, alive) = counted(2);
        let running = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let (counted, running) = (counted.clone(), &running);
                scope.spawn(move || {
                    for _ in 0..200 {
                        if let Some(_permit) = counted.try_take() {
                            assert!(running.fetch_add(1, Ordering::SeqCst) < 2);
                            running.fetch_sub(1, Ordering::SeqCst);
                        }
                    }
                });
            }
        });
        assert_eq!(counted.free(), 2);
        drop(counted);
        assert_eq!(Arc::strong_count(&alive), 1);
    }
}

#[cfg(all(test, tower_loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicUsize, Ordering};
    use loom::thread;

    use super::*;

    /// Counts how often it was dropped, and how often `released` was called.
    struct Value(Arc<[AtomicUsize; 2]>);

    impl Release for Value {
        fn released(this: &Counted<Self>) {
            this.0[1].fetch_add(1, Ordering::SeqCst);
        }
    }

    impl Drop for Value {
        fn drop(&mut self) {
            self.0[0].fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn the_last_owner_drops_the_value_once() {
        loom::model(|| {
            let counts = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
            let counted = Counted::new(1, Value(counts.clone()));
            let other = counted.clone();
            let thread = thread::spawn(move || {
                let permit = other.try_take();
                drop(other);
                permit.is_some()
            });
            let mine = counted.try_take().is_some();
            drop(counted);
            let theirs = thread.join().unwrap();
            assert!(mine || theirs);
            assert_eq!(counts[0].load(Ordering::SeqCst), 1);
        });
    }

    /// Two threads see the only permit, and each subtracts one: the second must undo that.
    #[test]
    fn the_fast_path_neither_duplicates_nor_loses_a_permit() {
        loom::model(|| {
            let counts = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
            let counted = Counted::new(1, Value(counts.clone()));
            let other = counted.clone();
            let thread = thread::spawn(move || other.try_take());
            let permits = [counted.try_take(), thread.join().unwrap()];
            assert_eq!(permits.iter().flatten().count(), 1);
            assert_eq!(counted.free(), 0);
            drop(permits);
            assert_eq!(counted.free(), 1);
            drop(counted);
            assert_eq!(counts[0].load(Ordering::SeqCst), 1);
        });
    }

    /// One thread sets `NOTIFY` while another takes and returns the permit: it finds the permit, or `released` is called.
    #[test]
    fn the_fast_path_calls_released_while_notify_is_set() {
        // There are too many interleavings to check them all.
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let counts = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
            let counted = Counted::new(1, Value(counts.clone()));
            let other = counted.clone();
            let thread = thread::spawn(move || drop(other.try_take()));
            counted.set_notify();
            let found = counted.take_any().is_some();
            thread.join().unwrap();
            assert!(found || counts[1].load(Ordering::SeqCst) > 0);
            assert_eq!(counted.free(), 1);
        });
    }

    /// Another thread sets `NOTIFY`, takes a permit and clears `NOTIFY` while this one takes one.
    #[test]
    fn two_ways_of_taking_share_one_permit() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let counts = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
            let counted = Counted::new(1, Value(counts.clone()));
            drop(counted.try_take().unwrap());
            let other = counted.clone();
            let thread = thread::spawn(move || {
                other.set_notify();
                let taken = other.take_any();
                other.clear_notify();
                taken
            });
            let permits = [counted.try_take(), thread.join().unwrap()];
            let taken = permits.iter().flatten().count();
            assert!(taken <= 1);
            assert_eq!(counted.free(), 1 - taken);
            drop(permits);
            assert_eq!(counted.free(), 1);
            drop(counted);
            assert_eq!(counts[0].load(Ordering::SeqCst), 1);
        });
    }

    /// If no permit is found after setting `NOTIFY`, `released` is called when one is returned.
    #[test]
    fn no_permit_is_returned_unnoticed() {
        loom::model(|| {
            let counts = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
            let counted = Counted::new(1, Value(counts.clone()));
            let permit = counted.try_take().unwrap();
            let thread = thread::spawn(move || drop(permit));
            counted.set_notify();
            let taken = counted.take_any().is_some();
            thread.join().unwrap();
            assert!(taken || counts[1].load(Ordering::SeqCst) == 1);
        });
    }
}
