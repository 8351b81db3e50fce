//! Handles that hold a slot of the queue, and those that wait for one.

use std::task::Waker;

use crate::service_lock::ServiceLock;
use crate::wait_list::{Removed, WaitList};

/// The reservation of a handle.
#[derive(Debug)]
pub(crate) enum Slot {
    None,
    /// Waits for a slot, with this key in the list.
    Waiting(usize),
    /// Ready without a slot, as nothing was queued: it needs one only if its request has to queue after all.
    Bypass,
    Reserved,
}

/// Handles that wait for a slot. Accessed under a lock; wakers are returned to the caller, which wakes them after releasing
/// the lock.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    list: WaitList,
    /// The number of slots beyond the bound: granted because idle handles held all others, or taken after a bypass.
    overcommitted: usize,
    /// One of the overcommitted slots is free for the first handle that polls.
    unclaimed: bool,
    /// A handle found no slot, and stopped waiting: its caller was rejected, for example by load shedding.
    missed: bool,
}

impl Waiters {
    /// Reserves a slot for the handle, and returns `true`; if none is free, registers the waker, and returns `false`.
    pub(crate) fn reserve<T>(
        &mut self,
        lock: &ServiceLock<T>,
        slot: &mut Slot,
        waker: &Waker,
    ) -> bool {
        match *slot {
            Slot::Reserved => return true,
            Slot::Waiting(key) => {
                if self.list.take_granted(key, waker) {
                    *slot = Slot::Reserved;
                }
            }
            Slot::None | Slot::Bypass => {
                // A slot that is released after this is granted to a waiter. One released before is found below.
                lock.set_waiters();
                let free = self.list.is_empty()
                    && (std::mem::take(&mut self.unclaimed)
                        || self.overcommitted == 0 && lock.take_any_slot());
                if free {
                    *slot = Slot::Reserved;
                } else {
                    *slot = Slot::Waiting(self.list.add(waker.clone()));
                }
                self.clear_waiters_if_none(lock);
            }
        }
        matches!(slot, Slot::Reserved)
    }

    /// Grants a free slot to the first waiting handle and returns its waker. More slots may be free afterwards.
    pub(crate) fn grant_next<T>(&mut self, lock: &ServiceLock<T>) -> Option<Waker> {
        // A released slot repays an overcommitted one, or replaces one that has not been claimed.
        while self.overcommitted > 0
            && lock.has_slot()
            && (std::mem::take(&mut self.unclaimed) || lock.take_any_slot())
        {
            self.overcommitted -= 1;
        }
        let granted = if !self.list.is_empty() && lock.take_any_slot() {
            self.list.grant()
        } else {
            None
        };
        self.clear_waiters_if_none(lock);
        granted
    }

    /// Takes a slot for a handle that was ready without one, beyond the bound if none is free.
    pub(crate) fn take_or_overcommit<T>(&mut self, lock: &ServiceLock<T>) {
        if !lock.take_any_slot() {
            self.overcommitted += 1;
            lock.set_waiters();
        }
    }

    /// Grants a slot beyond the bound to the first waiting handle and returns its waker, or keeps the slot for the next handle
    /// that polls if one was rejected.
    pub(crate) fn overcommit<T>(&mut self, lock: &ServiceLock<T>) -> Option<Waker> {
        let next = self.list.grant();
        let missed = std::mem::take(&mut self.missed) && !self.unclaimed && !lock.has_slot();
        if next.is_some() || missed {
            self.overcommitted += 1;
            self.unclaimed |= next.is_none();
            lock.set_waiters();
        }
        next
    }

    /// Clears the flag of the waiters if no handle waits and no slot is to be repaid.
    fn clear_waiters_if_none<T>(&self, lock: &ServiceLock<T>) {
        if self.list.is_empty() && self.overcommitted == 0 {
            lock.clear_waiters();
        }
    }

    /// Removes a handle that no longer waits. Returns whether it had been granted a slot, which the caller must release.
    pub(crate) fn remove(&mut self, key: usize) -> bool {
        let removed = self.list.remove(key);
        self.missed |= removed == Removed::Waiting;
        removed == Removed::Granted
    }

    /// Returns whether a handle waits for a slot, or was rejected for want of one.
    pub(crate) fn any_wanted(&self) -> bool {
        !self.list.is_empty() || self.missed
    }

    /// Removes all waiting handles and returns their wakers. No handle may [`reserve`](Self::reserve) afterwards.
    pub(crate) fn clear(&mut self) -> Vec<Waker> {
        self.list.clear()
    }
}
