//! Who waits for a permit, in which order, and who is told of one. Pure: no permits, no locks, no wake-ups.

use std::collections::BTreeMap;
use std::task::Waker;

/// Waiters in the order in which they came.
///
/// A waiter that is told of a permit may never ask for it: its caller may have lost interest and kept the handle. So a
/// permit is never kept for a waiter. Whoever asks while one is free takes it, with one exception: a newcomer lets a
/// waiter pass that came for a permit and found it taken, once. So no waiter starves where others ask again and again.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: BTreeMap<u64, Waiter>,
    next_id: u64,
    /// How many have been told, and have not asked since.
    told: usize,
    /// How many of these have come in vain before.
    overtaken: usize,
}

#[derive(Debug)]
struct Waiter {
    waker: Waker,
    /// Has been told of a permit, and has not asked since.
    told: bool,
    /// Has asked after it was told, and there was no permit left.
    came: bool,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether some have not been told of a permit.
    pub(super) fn has_untold(&self) -> bool {
        self.waiting.len() > self.told
    }

    /// Whether a newcomer has to wait although there may be a permit.
    pub(super) fn defers(&self) -> bool {
        self.overtaken > 0
    }

    /// Waits on, or anew if it has no id yet. `waker` is woken when it is told. Returns the waker that it replaces.
    pub(super) fn wait(&mut self, id: &mut Option<u64>, waker: &Waker) -> Option<Waker> {
        let known = id.and_then(|id| self.waiting.get_mut(&id));
        let Some(waiter) = known else {
            let waiter = Waiter {
                waker: waker.clone(),
                told: false,
                came: false,
            };
            self.waiting.insert(self.next_id, waiter);
            *id = Some(self.next_id);
            self.next_id += 1;
            return None;
        };
        if std::mem::take(&mut waiter.told) {
            self.told -= 1;
            self.overtaken -= usize::from(waiter.came);
            waiter.came = true;
        }
        if waiter.waker.will_wake(waker) {
            return None;
        }
        Some(std::mem::replace(&mut waiter.waker, waker.clone()))
    }

    /// It waits no more. Returns whether it had been told of a permit, and its waker.
    pub(super) fn leave(&mut self, id: u64) -> Option<(bool, Waker)> {
        let waiter = self.waiting.remove(&id)?;
        if waiter.told {
            self.told -= 1;
            self.overtaken -= usize::from(waiter.came);
        }
        Some((waiter.told, waiter.waker))
    }

    /// Tells the first that has not been told. Returns its waker.
    pub(super) fn tell(&mut self) -> Option<Waker> {
        let waiter = self.waiting.values_mut().find(|waiter| !waiter.told)?;
        waiter.told = true;
        self.told += 1;
        self.overtaken += usize::from(waiter.came);
        Some(waiter.waker.clone())
    }
}

#[cfg(all(test, not(tower_loom)))]
mod tests {
    use super::*;

    fn wait(queue: &mut Queue) -> Option<u64> {
        let mut id = None;
        queue.wait(&mut id, Waker::noop());
        id
    }

    #[test]
    fn tells_in_the_order_of_arrival_and_each_once() {
        let mut queue = Queue::default();
        let (first, mut second) = (wait(&mut queue), wait(&mut queue));
        assert!(queue.tell().is_some() && queue.tell().is_some() && queue.tell().is_none());
        // The second came in vain, and waits on in its place.
        queue.wait(&mut second, Waker::noop());
        assert!(queue.has_untold());
        assert!(queue.tell().is_some() && !queue.has_untold());
        assert!(queue.leave(first.unwrap()).unwrap().0);
        assert!(queue.leave(second.unwrap()).unwrap().0);
        assert!(queue.is_empty() && !queue.defers());
    }

    #[test]
    fn newcomers_let_one_pass_that_was_overtaken() {
        let mut queue = Queue::default();
        let mut id = wait(&mut queue);
        queue.tell();
        assert!(!queue.defers(), "it may be gone");
        queue.wait(&mut id, Waker::noop());
        assert!(!queue.defers(), "it has not been told again");
        queue.tell();
        assert!(queue.defers());
        queue.wait(&mut id, Waker::noop());
        assert!(!queue.defers());
    }
}
