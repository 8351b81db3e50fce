//! A shared value in whose reference count its permits are counted as well.
//!
//! A request takes a permit, which has to keep the pool alive, and gives it back. With an `Arc` that would be four atomic
//! operations; with both counts in one word it is two, and they are most of what a limit costs.
#![allow(unsafe_code, reason = "the reference count is our own")]

use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;

use crate::sync::{AtomicU64, Ordering, fence};

/// A reference to a value with permits. The value is dropped with the last reference and the last permit.
pub(super) struct Counted<T> {
    /// # Invariant
    ///
    /// Made by `Box::leak`, and valid while [`references`] in its word counts this one.
    inner: NonNull<Inner<T>>,
}

/// A permit, and a reference.
pub(super) struct Permit<T: Release> {
    /// Dropped by hand, together with the permit.
    of: ManuallyDrop<Counted<T>>,
    /// The word as it was when the permit had been taken. With one thread it mostly is so still. With several
    /// it is not, but a comparison with it fetches the cache line for writing, which a load would fetch for reading first.
    left: u64,
}

/// Called when a permit is given back while [`Counted::look`] is set.
pub(super) trait Release: Sized {
    fn released(this: &Counted<Self>);
}

struct Inner<T> {
    /// From the lowest bit: 32 for the references, 31 for the permits that are free and [`BIAS`], one that says [`LOOK`].
    word: AtomicU64,
    value: T,
}

const REFERENCE: u64 = 1;
const FREE: u64 = 1 << 32;
const LOOK: u64 = 1 << 63;

const fn references(word: u64) -> u64 {
    word & (FREE - 1)
}

/// What the word has where no permit is free. Threads that have taken what was not there make it less for as long as it takes
/// them to put it back: there would have to be more threads than Linux can have for it to borrow from [`LOOK`].
const BIAS: u64 = FREE << 22;

/// The maximum; a larger number of permits counts as this one.
const MAX_PERMITS: u64 = (LOOK - BIAS) / FREE - 1;

/// When that many are free, one is taken without a look at what others do meanwhile: an addition does not fail under
/// contention, as a comparison does. Should as many threads do so at once, the last of them find none, and put back what they
/// took; for that time the number is too low.
#[cfg(not(tower_loom))]
const PLENTY: u64 = 64;
#[cfg(tower_loom)]
const PLENTY: u64 = 1;

/// Whether that many permits are free, and a taker need not [look](Counted::look): one comparison, as that bit is the
/// sign.
const fn has_plainly(permits: u64, word: u64) -> bool {
    word.cast_signed() >= (BIAS + permits * FREE).cast_signed()
}

// SAFETY: a `Counted` is a shared reference that may be the last owner, just as an `Arc`.
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

    /// Takes a permit, unless there is none or [`look`](Self::look) is set.
    ///
    /// `guess` is kept from one call to the next, 0 before the first: what the word was then. With one thread it is so again. With
    /// several a comparison that fails has fetched the cache line for writing; a load would fetch it for reading first.
    #[inline]
    pub(super) fn try_take(&self, guess: &mut u64) -> Option<Permit<T>> {
        let mut current = *guess;
        if has_plainly(1, current) {
            match self.exchange(current) {
                Ok(permit) => return Some(permit),
                Err(word) => current = word,
            }
        } else {
            current = self.inner().word.load(Ordering::Relaxed);
        }
        *guess = current;
        self.take_if(current, |word| word)
    }

    /// Takes a permit, unless there is none.
    pub(super) fn take_any(&self) -> Option<Permit<T>> {
        let current = self.inner().word.load(Ordering::Relaxed);
        let mut permit = self.take_if(current, |word| word & !LOOK)?;
        // It may be so no more when the permit is given back.
        permit.left &= !LOOK;
        Some(permit)
    }

    /// `current`: the word as it was last. `seen`: the word as this one is to see it.
    #[inline]
    fn take_if(&self, mut current: u64, seen: impl Fn(u64) -> u64) -> Option<Permit<T>> {
        let word = &self.inner().word;
        if has_plainly(PLENTY, seen(current)) {
            // There are fewer permits than would make the references overflow.
            let before = word.fetch_sub(FREE - REFERENCE, Ordering::AcqRel);
            let of = ManuallyDrop::new(Self { inner: self.inner });
            let left = before.wrapping_sub(FREE - REFERENCE);
            let permit = Permit { of, left };
            if has_plainly(1, seen(before)) {
                return Some(permit);
            }
            current = permit.put_back();
        }
        while has_plainly(1, seen(current)) {
            match self.exchange(current) {
                Ok(permit) => return Some(permit),
                Err(other) => current = other,
            }
        }
        None
    }

    /// Takes a permit if the word is `current`, in which one is free; otherwise returns the word.
    #[inline]
    fn exchange(&self, current: u64) -> Result<Permit<T>, u64> {
        let next = current - FREE + REFERENCE;
        let word = &self.inner().word;
        word.compare_exchange_weak(current, next, Ordering::AcqRel, Ordering::Relaxed)?;
        // The reference has been counted just now.
        let of = ManuallyDrop::new(Self { inner: self.inner });
        Ok(Permit { of, left: next })
    }

    /// A permit beyond those that there are, when none is free. It is to be [swallowed](Self::swallow) once given back.
    pub(super) fn take_unfree(&self) -> Permit<T> {
        let of = ManuallyDrop::new(self.clone());
        let left = self.inner().word.load(Ordering::Relaxed) & !LOOK;
        Permit { of, left }
    }

    /// Removes a permit that is free, if there is one.
    pub(super) fn swallow(&self) -> bool {
        self.take_any().is_some_and(|permit| {
            let mut permit = ManuallyDrop::new(permit);
            // SAFETY: only here, as the permit itself is never dropped. Its reference is given back, and `FREE` is not.
            unsafe { ManuallyDrop::drop(&mut permit.of) };
            true
        })
    }

    pub(super) fn free(&self) -> usize {
        let word = self.inner().word.load(Ordering::Acquire) & !LOOK;
        (word.saturating_sub(BIAS) / FREE) as usize
    }

    /// From now on giving a permit back calls [`Release::released`]. What was given back before is seen by a
    /// [`take_any`](Self::take_any) after this.
    pub(super) fn look(&self) {
        self.inner().word.fetch_or(LOOK, Ordering::AcqRel);
    }

    pub(super) fn look_no_more(&self) {
        self.inner().word.fetch_and(!LOOK, Ordering::AcqRel);
    }
}

impl<T> Counted<T> {
    #[inline]
    fn inner(&self) -> &Inner<T> {
        // SAFETY: valid by the invariant, and only ever borrowed shared until the last reference drops it.
        unsafe { self.inner.as_ref() }
    }

    /// The last reference is gone, after it was counted off by an operation with `Release`.
    #[cold]
    fn drop_inner(&self) {
        // All that others did with the value comes before its end.
        fence(Ordering::Acquire);
        // SAFETY: made by `Box::leak`; nobody else has a reference, and nobody can get one.
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
        let mut current = self.left;
        while current & LOOK == 0 {
            // The permit and its reference at once.
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
    /// It was none, or somebody has looked meanwhile: it goes back the way of any other. Returns the word as it is then.
    #[cold]
    fn put_back(self) -> u64 {
        let of = Counted::clone(&self.of);
        drop(self);
        of.inner().word.load(Ordering::Relaxed)
    }

    /// First the permit, and the reference when those who wait for it have been told.
    #[cold]
    fn release(&mut self) {
        self.of.inner().word.fetch_add(FREE, Ordering::AcqRel);
        T::released(&self.of);
        // SAFETY: only called at the end of `drop`.
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

/// As `Arc` does: so many references can only be leaked ones. Those of permits are not counted: there are [`MAX_PERMITS`] at
/// most, and half of the numbers are left for them.
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
        // Tells whether it is dropped, once.
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
    fn there_are_as_many_permits_as_it_says() {
        let (counted, _) = counted(2);
        let permits = [
            counted.try_take(&mut 0).unwrap(),
            counted.try_take(&mut 0).unwrap(),
        ];
        assert!(counted.try_take(&mut 0).is_none() && counted.take_any().is_none());
        drop(permits);
        assert_eq!(counted.free(), 2);
    }

    #[test]
    fn the_value_lives_as_long_as_a_reference_or_a_permit() {
        for permit_last in [false, true] {
            let (counted, alive) = counted(1);
            let (clone, permit) = (counted.clone(), counted.try_take(&mut 0).unwrap());
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
    fn who_looks_is_told() {
        let (counted, alive) = counted(2);
        let permits = [
            counted.try_take(&mut 0).unwrap(),
            counted.try_take(&mut 0).unwrap(),
        ];
        counted.look();
        let [first, second] = permits;
        drop(first);
        assert!(
            counted.try_take(&mut 0).is_none(),
            "it is for whoever waits"
        );
        assert_eq!(counted.released.load(Ordering::Relaxed), 1);
        drop(counted.take_any().unwrap());
        counted.look_no_more();
        drop(second);
        assert_eq!(counted.released.load(Ordering::Relaxed), 2);
        drop(counted);
        assert_eq!(Arc::strong_count(&alive), 1);
    }

    /// As if threads had found plenty at once, and none of them had put back yet what it took.
    #[test]
    fn what_is_taken_without_being_there_leaves_the_flag_alone() {
        for looks in [false, true] {
            let (counted, _) = counted(1);
            if looks {
                counted.look();
            }
            let beyond = [(); 3].map(|()| {
                let before = counted
                    .inner()
                    .word
                    .fetch_sub(FREE - REFERENCE, Ordering::AcqRel);
                assert_eq!(before & LOOK != 0, looks);
                let of = ManuallyDrop::new(Counted {
                    inner: counted.inner,
                });
                Permit { of, left: 0 }
            });
            assert_eq!(counted.free(), 0);
            assert!(counted.try_take(&mut 0).is_none() && counted.take_any().is_none());
            drop(beyond);
            assert_eq!(
                counted.released.load(Ordering::Relaxed),
                if looks { 3 } else { 0 }
            );
            assert_eq!(counted.free(), 1);
            assert_eq!(counted.try_take(&mut 0).is_none(), looks);
        }
    }

    #[test]
    fn any_number_of_permits_will_do() {
        for permits in [0, usize::MAX] {
            let (counted, _) = counted(permits);
            assert_eq!(counted.try_take(&mut 0).is_some(), permits > 0);
            // The flag beside them is none of them.
            let free = counted.free();
            assert_eq!(free as u64, if permits > 0 { MAX_PERMITS } else { 0 });
            counted.look();
            assert_eq!(counted.free(), free);
            let permit = counted.take_any();
            assert_eq!(permit.is_some(), permits > 0);
            drop(permit);
            assert!(counted.try_take(&mut 0).is_none());
            counted.look_no_more();
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
                        if let Some(_permit) = counted.try_take(&mut 0) {
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

    /// Counts how often it was dropped, and how often it was told of a permit.
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
    fn the_last_one_drops_the_value_once() {
        loom::model(|| {
            let counts = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
            let counted = Counted::new(1, Value(counts.clone()));
            let other = counted.clone();
            let thread = thread::spawn(move || {
                let permit = other.try_take(&mut 0);
                drop(other);
                permit.is_some()
            });
            let mine = counted.try_take(&mut 0).is_some();
            drop(counted);
            let theirs = thread.join().unwrap();
            assert!(mine || theirs);
            assert_eq!(counts[0].load(Ordering::SeqCst), 1);
        });
    }

    /// Two threads see the one permit, and each takes one by an addition: the second puts back what is not there.
    #[test]
    fn where_there_is_plenty_no_permit_is_given_out_twice_or_lost() {
        loom::model(|| {
            let counts = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
            let counted = Counted::new(1, Value(counts.clone()));
            let other = counted.clone();
            let thread = thread::spawn(move || other.try_take(&mut 0));
            let permits = [counted.try_take(&mut 0), thread.join().unwrap()];
            assert_eq!(permits.iter().flatten().count(), 1);
            assert_eq!(counted.free(), 0);
            drop(permits);
            assert_eq!(counted.free(), 1);
            drop(counted);
            assert_eq!(counts[0].load(Ordering::SeqCst), 1);
        });
    }

    /// One looks while another takes and gives back: it has the permit, or is told of it.
    #[test]
    fn where_there_is_plenty_who_looks_is_told() {
        // There are too many ways for all of them.
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let counts = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
            let counted = Counted::new(1, Value(counts.clone()));
            let other = counted.clone();
            let thread = thread::spawn(move || drop(other.try_take(&mut 0)));
            counted.look();
            let found = counted.take_any().is_some();
            thread.join().unwrap();
            assert!(found || counts[1].load(Ordering::SeqCst) > 0);
            assert_eq!(counted.free(), 1);
        });
    }

    /// The guess of a handle is right, or outdated by what another takes, gives back and looks for.
    #[test]
    fn a_guess_takes_no_permit_that_is_not_there() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let counts = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
            let counted = Counted::new(1, Value(counts.clone()));
            let mut guess = 0;
            drop(counted.try_take(&mut guess).unwrap());
            let other = counted.clone();
            let thread = thread::spawn(move || {
                other.look();
                let taken = other.take_any();
                other.look_no_more();
                taken
            });
            let permits = [counted.try_take(&mut guess), thread.join().unwrap()];
            let taken = permits.iter().flatten().count();
            assert!(taken <= 1);
            assert_eq!(counted.free(), 1 - taken);
            drop(permits);
            assert_eq!(counted.free(), 1);
            drop(counted);
            assert_eq!(counts[0].load(Ordering::SeqCst), 1);
        });
    }

    /// Whoever looks and finds no permit is told when one is given back.
    #[test]
    fn no_permit_is_given_back_unseen() {
        loom::model(|| {
            let counts = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
            let counted = Counted::new(1, Value(counts.clone()));
            let permit = counted.try_take(&mut 0).unwrap();
            let thread = thread::spawn(move || drop(permit));
            counted.look();
            let taken = counted.take_any().is_some();
            thread.join().unwrap();
            assert!(taken || counts[1].load(Ordering::SeqCst) == 1);
        });
    }
}
