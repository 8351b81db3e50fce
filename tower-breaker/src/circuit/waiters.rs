use std::task::Waker;

use slab::Slab;

/// The wakers of tasks that must poll again when the state of a breaker changes.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    wakers: Slab<Waker>,
    /// The number of times that all wakers were taken: earlier places are void.
    generation: u64,
}

/// The place of one service in [`Waiters`].
#[derive(Debug, Default)]
pub(crate) struct Place {
    key: usize,
    /// The generation of the key; 0 if there is none.
    generation: u64,
}

/// Wakers that are woken when this is dropped, which must be after the lock is released.
#[must_use = "the wakers are woken when this is dropped"]
#[derive(Debug, Default)]
pub(crate) struct WakeList(Slab<Waker>);

impl Waiters {
    pub(crate) fn new() -> Self {
        Self {
            wakers: Slab::new(),
            generation: 1,
        }
    }

    /// Sets the waker at a place. Returns the one that was there, to be dropped after the lock is released.
    #[must_use = "must be dropped after the lock is released"]
    pub(crate) fn set(&mut self, place: &mut Place, waker: &Waker) -> Option<Waker> {
        if place.generation == self.generation {
            let known = &mut self.wakers[place.key];
            if known.will_wake(waker) {
                return None;
            }
            return Some(std::mem::replace(known, waker.clone()));
        }
        *place = Place {
            key: self.wakers.insert(waker.clone()),
            generation: self.generation,
        };
        None
    }

    /// Removes a place. Returns its waker, to be dropped after the lock is released.
    #[must_use = "must be dropped after the lock is released"]
    pub(crate) fn remove(&mut self, place: &Place) -> Option<Waker> {
        (place.generation == self.generation).then(|| self.wakers.remove(place.key))
    }

    #[cfg(all(test, not(tower_loom)))]
    pub(crate) fn len(&self) -> usize {
        self.wakers.len()
    }

    /// Takes all wakers.
    pub(crate) fn take(&mut self) -> WakeList {
        if self.wakers.is_empty() {
            return WakeList::default();
        }
        self.generation += 1;
        WakeList(std::mem::take(&mut self.wakers))
    }
}

impl Place {
    /// Whether it was ever set.
    pub(crate) const fn is_set(&self) -> bool {
        self.generation != 0
    }
}

impl Drop for WakeList {
    fn drop(&mut self) {
        for waker in self.0.drain() {
            waker.wake();
        }
    }
}

#[cfg(all(test, not(tower_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_one_waker_and_is_void_after_it_was_taken() {
        let mut waiters = Waiters::new();
        let (mut first, mut second) = (Place::default(), Place::default());
        for _ in 0..3 {
            drop(waiters.set(&mut first, Waker::noop()));
            drop(waiters.set(&mut second, Waker::noop()));
            assert_eq!(waiters.wakers.len(), 2);
            drop(waiters.take());
            assert!(waiters.wakers.is_empty());
            assert!(waiters.remove(&first).is_none());
        }
        drop(waiters.set(&mut second, Waker::noop()));
        assert!(waiters.remove(&second).is_some());
        assert!(waiters.wakers.is_empty());
    }
}
