//! Handles that have a place in the queue, and those that wait for one.

use std::task::Waker;

use crate::gate::Gate;
use crate::wait_list::{Had, WaitList};

/// What a handle has.
#[derive(Debug)]
pub(crate) enum Place {
    None,
    /// Waits, with this key in the list.
    Waiting(usize),
    /// Nothing was queued when it asked: it may come in, and needs a place only if it has to queue after all.
    Promised,
    Reserved,
}

/// Handles that wait for a place. Under a lock; wakers are returned to the caller, which wakes them after releasing it.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    list: WaitList,
    /// Places beyond the bound, given out because all others were with handles that did nothing with them.
    lent: usize,
    /// One of the lent places is for the first handle that asks.
    unclaimed: bool,
    /// A handle found no place, and did not wait for one: its caller has been refused.
    missed: bool,
}

impl Waiters {
    /// Whether the handle has a place now; otherwise it waits with the waker.
    pub(crate) fn reserve<T>(&mut self, gate: &Gate<T>, place: &mut Place, waker: &Waker) -> bool {
        match *place {
            Place::Reserved => return true,
            Place::Waiting(key) => {
                if self.list.take_granted(key, waker) {
                    *place = Place::Reserved;
                }
            }
            Place::None | Place::Promised => {
                // From now on a place that is given back is noticed here. One given back before is seen below.
                gate.look();
                let free = self.list.is_empty()
                    && (std::mem::take(&mut self.unclaimed) || self.lent == 0 && gate.take_any());
                if free {
                    *place = Place::Reserved;
                } else {
                    *place = Place::Waiting(self.list.add(waker.clone()));
                }
                self.settle(gate);
            }
        }
        matches!(place, Place::Reserved)
    }

    /// Grants a free place to the first waiting handle and returns its waker. There may be more to grant then.
    pub(crate) fn serve<T>(&mut self, gate: &Gate<T>) -> Option<Waker> {
        // A place that came back makes up for one that was lent, or is there instead of one that was not claimed yet.
        while self.lent > 0
            && gate.has_place()
            && (std::mem::take(&mut self.unclaimed) || gate.take_any())
        {
            self.lent -= 1;
        }
        let served = if !self.list.is_empty() && gate.take_any() {
            self.list.grant()
        } else {
            None
        };
        self.settle(gate);
        served
    }

    /// Takes a place for a handle that was promised one, beyond the bound if none is free.
    pub(crate) fn redeem<T>(&mut self, gate: &Gate<T>) {
        if !gate.take_any() {
            self.lent += 1;
            gate.look();
        }
    }

    /// Grants a place beyond the bound to the first waiting handle, or keeps it for the next that asks. Returns the waker.
    pub(crate) fn lend<T>(&mut self, gate: &Gate<T>) -> Option<Waker> {
        let next = self.list.grant();
        let missed = std::mem::take(&mut self.missed) && !self.unclaimed && !gate.has_place();
        if next.is_some() || missed {
            self.lent += 1;
            self.unclaimed |= next.is_none();
            gate.look();
        }
        next
    }

    fn settle<T>(&self, gate: &Gate<T>) {
        if self.list.is_empty() && self.lent == 0 {
            gate.look_no_more();
        }
    }

    /// The handle waits no more. Whether it had a place, which is free now.
    pub(crate) fn leave(&mut self, key: usize) -> bool {
        let had = self.list.leave(key);
        self.missed |= had == Had::Waited;
        had == Had::Granted
    }

    /// Returns whether a handle would take a place if there were one.
    pub(crate) fn any_wanted(&self) -> bool {
        !self.list.is_empty() || self.missed
    }

    /// Removes all waiting handles and returns their wakers. No handle may [`reserve`](Self::reserve) afterwards.
    pub(crate) fn clear(&mut self) -> Vec<Waker> {
        self.list.clear()
    }
}
