//! The places in the queue: how many are free, and who waits for one.

use std::collections::{BTreeMap, BTreeSet};
use std::task::Waker;

use crate::sync::{AtomicUsize, Ordering};

/// What a handle has.
#[derive(Debug)]
pub(crate) enum Place {
    None,
    /// Waits, with this number.
    Waiting(u64),
    Reserved,
}

/// The free places. They are taken and given back without the lock under which the [`Waiters`] are, unless there is one.
#[derive(Debug)]
pub(crate) struct Places {
    /// Twice the number of free places, and one more while somebody has to look at the waiters.
    word: AtomicUsize,
}

impl Places {
    pub(crate) fn new(bound: usize) -> Self {
        Self {
            word: AtomicUsize::new(bound.min(usize::MAX / 4) * FREE),
        }
    }

    /// Takes a free place, unless somebody waits for one.
    pub(crate) fn try_take(&self) -> bool {
        self.take_if(|word| word & LOOK == 0)
    }

    fn take_if(&self, may: impl Fn(usize) -> bool) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        while word >= FREE && may(word) {
            match self.word.compare_exchange_weak(
                word,
                word - FREE,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    /// Whether somebody may wait for it: then [`Waiters::serve`] is to be called.
    #[must_use]
    pub(crate) fn give_back(&self) -> bool {
        self.word.fetch_add(FREE, Ordering::AcqRel) & LOOK != 0
    }
}

const FREE: usize = 2;
const LOOK: usize = 1;

/// Who waits for a place. Under a lock; wakers are given to the caller, who wakes them when he has let go of it.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    waiting: BTreeMap<u64, Waker>,
    /// Those who waited and were given a place that they have not fetched yet.
    granted: BTreeSet<u64>,
    next_number: u64,
    /// Places beyond the bound, given out because all others were with handles that did nothing with them.
    lent: usize,
}

impl Waiters {
    /// Whether the handle has a place now; otherwise it waits with the waker.
    pub(crate) fn reserve(&mut self, places: &Places, place: &mut Place, waker: &Waker) -> bool {
        match *place {
            Place::Reserved => return true,
            Place::Waiting(number) if self.granted.remove(&number) => *place = Place::Reserved,
            Place::Waiting(number) => {
                self.waiting
                    .entry(number)
                    .and_modify(|known| known.clone_from(waker));
            }
            Place::None => {
                // From now on whoever gives a place back looks here. What was given back before is seen below.
                places.word.fetch_or(LOOK, Ordering::AcqRel);
                if self.waiting.is_empty() && self.lent == 0 && places.take_if(|_| true) {
                    *place = Place::Reserved;
                } else {
                    self.waiting.insert(self.next_number, waker.clone());
                    *place = Place::Waiting(self.next_number);
                    self.next_number += 1;
                }
                self.settle(places);
            }
        }
        matches!(place, Place::Reserved)
    }

    /// Gives a free place to the first who waits. Yields whom to wake: then there may be more to serve.
    pub(crate) fn serve(&mut self, places: &Places) -> Option<Waker> {
        while self.lent > 0 && places.take_if(|_| true) {
            self.lent -= 1;
        }
        let served = if !self.waiting.is_empty() && places.take_if(|_| true) {
            self.grant()
        } else {
            None
        };
        self.settle(places);
        served
    }

    /// Gives a place beyond the bound to the first who waits. Yields whom to wake.
    pub(crate) fn lend(&mut self) -> Option<Waker> {
        let waker = self.grant()?;
        self.lent += 1;
        Some(waker)
    }

    fn grant(&mut self) -> Option<Waker> {
        let (number, waker) = self.waiting.pop_first()?;
        self.granted.insert(number);
        Some(waker)
    }

    fn settle(&self, places: &Places) {
        if self.waiting.is_empty() && self.lent == 0 {
            places.word.fetch_and(!LOOK, Ordering::AcqRel);
        }
    }

    /// The handle waits no more. Whether it had a place, which is free now.
    pub(crate) fn leave(&mut self, number: u64) -> bool {
        self.waiting.remove(&number);
        self.granted.remove(&number)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Everyone who waits.
    pub(crate) fn take(&mut self) -> BTreeMap<u64, Waker> {
        std::mem::take(&mut self.waiting)
    }
}
