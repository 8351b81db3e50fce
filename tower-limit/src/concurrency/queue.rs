//! The queue of waiters: their order, and which of them have been notified of a permit. Pure: no permits, no locks, no wake-ups.

use std::task::Waker;

use slab::Slab;
use tokio::runtime::Handle;

/// Waiters in the order in which they arrived.
///
/// A waiter that is notified of a permit may never poll again: its caller may have lost interest and kept the handle. So
/// permits are never reserved for a waiter; the first handle that polls takes a free permit. There is one exception, which
/// prevents starvation when other handles poll again and again: a newcomer yields once to a waiter that was notified and found
/// the permit taken (it was overtaken). This is [reset](Self::forget_overtaken) as soon as one newcomer has yielded, or if the
/// waiter does not poll.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiters: Slab<Waiter>,
    /// The ends of the linked list of the waiters that have not been notified.
    first: Option<usize>,
    last: Option<usize>,
    /// How many overtaken waiters have been notified again in this epoch.
    overtaken: usize,
    /// Incremented by each [`forget_overtaken`](Self::forget_overtaken).
    epoch: usize,
}

#[derive(Debug)]
struct Waiter {
    waker: Waker,
    /// The runtime of its task.
    runtime: Option<Handle>,
    /// Whether it has been notified of a permit and has not polled since. If so, it is not in the list.
    notified: bool,
    /// Whether it has polled after a notification and found the permit taken.
    was_overtaken: bool,
    /// The epoch in which it was last notified.
    notified_in: usize,
    before: Option<usize>,
    after: Option<usize>,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// Returns whether some waiters have not been notified.
    pub(super) const fn has_unnotified(&self) -> bool {
        self.first.is_some()
    }

    /// Returns the runtime of the next waiter to be notified.
    pub(super) fn next_runtime(&self) -> Option<Handle> {
        self.waiters[self.first?].runtime.clone()
    }

    /// Returns whether a newcomer must yield, even if a permit is free.
    pub(super) const fn defers(&self) -> bool {
        self.overtaken > 0
    }

    /// Starts a new epoch: newcomers need not yield to the waiters that have been notified so far.
    pub(super) fn forget_overtaken(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        self.overtaken = 0;
    }

    /// Adds a waiter if `id` is `None`, otherwise lets it wait on: after a notification it is put back at the head. `waker` is the
    /// one that [`notify`](Self::notify) will return. Returns the waker that it replaces.
    pub(super) fn wait(&mut self, id: &mut Option<usize>, waker: &Waker) -> Option<Waker> {
        let Some(known) = *id else {
            let waiter = Waiter {
                waker: waker.clone(),
                runtime: Handle::try_current().ok(),
                notified: false,
                was_overtaken: false,
                notified_in: 0,
                before: None,
                after: None,
            };
            let new = self.waiters.insert(waiter);
            self.link(self.last, new, None);
            *id = Some(new);
            return None;
        };
        let waiter = &mut self.waiters[known];
        let outdated = if waiter.waker.will_wake(waker) {
            None
        } else {
            Some(std::mem::replace(&mut waiter.waker, waker.clone()))
        };
        if std::mem::take(&mut waiter.notified) {
            self.overtaken -= usize::from(waiter.was_overtaken && waiter.notified_in == self.epoch);
            waiter.was_overtaken = true;
            // All waiters that were ahead of it have been notified as well.
            self.link(None, known, self.first);
        }
        outdated
    }

    /// Removes a waiter. Returns whether it had been notified, and its waker.
    pub(super) fn leave(&mut self, id: usize) -> (bool, Waker) {
        let waiter = self.waiters.remove(id);
        if waiter.notified {
            self.overtaken -= usize::from(waiter.was_overtaken && waiter.notified_in == self.epoch);
        } else {
            self.unlink(waiter.before, waiter.after);
        }
        (waiter.notified, waiter.waker)
    }

    /// Marks the first waiter in the list as notified. Returns its waker.
    pub(super) fn notify(&mut self) -> Option<Waker> {
        let waiter = &mut self.waiters[self.first?];
        waiter.notified = true;
        waiter.notified_in = self.epoch;
        self.overtaken += usize::from(waiter.was_overtaken);
        let waker = waiter.waker.clone();
        let after = waiter.after;
        self.unlink(None, after);
        Some(waker)
    }

    fn link(&mut self, before: Option<usize>, id: usize, after: Option<usize>) {
        *self.after(before) = Some(id);
        *self.before(after) = Some(id);
        let waiter = &mut self.waiters[id];
        (waiter.before, waiter.after) = (before, after);
    }

    fn unlink(&mut self, before: Option<usize>, after: Option<usize>) {
        *self.after(before) = after;
        *self.before(after) = before;
    }

    /// Returns the link to the waiter after `id`, or the head of the list for `None`.
    fn after(&mut self, id: Option<usize>) -> &mut Option<usize> {
        match id {
            Some(id) => &mut self.waiters[id].after,
            None => &mut self.first,
        }
    }

    /// Returns the link to the waiter before `id`, or the tail of the list for `None`.
    fn before(&mut self, id: Option<usize>) -> &mut Option<usize> {
        match id {
            Some(id) => &mut self.waiters[id].before,
            None => &mut self.last,
        }
    }
}

#[cfg(all(test, not(tower_loom)))]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::{Arc, Mutex};
    use std::task::Wake;

    use proptest::prelude::*;

    use super::*;

    fn wait(queue: &mut Queue) -> Option<usize> {
        let mut id = None;
        queue.wait(&mut id, Waker::noop());
        id
    }

    #[test]
    fn notifies_each_waiter_once_in_order_of_arrival() {
        let mut queue = Queue::default();
        let (first, mut second) = (wait(&mut queue), wait(&mut queue));
        assert!(queue.notify().is_some() && queue.notify().is_some() && queue.notify().is_none());
        // The second found no permit, and waits on at the head.
        queue.wait(&mut second, Waker::noop());
        assert!(queue.has_unnotified());
        assert!(queue.notify().is_some() && !queue.has_unnotified());
        assert!(queue.leave(first.unwrap()).0);
        assert!(queue.leave(second.unwrap()).0);
        assert!(queue.is_empty() && !queue.defers());
    }

    #[test]
    fn newcomers_yield_to_an_overtaken_waiter() {
        let mut queue = Queue::default();
        let mut id = wait(&mut queue);
        queue.notify();
        assert!(!queue.defers(), "it may never poll again");
        queue.wait(&mut id, Waker::noop());
        assert!(!queue.defers(), "it has not been notified again");
        queue.notify();
        assert!(queue.defers());
        queue.wait(&mut id, Waker::noop());
        assert!(!queue.defers());
        queue.notify();
        assert!(queue.defers());
        queue.forget_overtaken();
        assert!(!queue.defers());
        queue.wait(&mut id, Waker::noop());
        queue.notify();
        assert!(queue.defers());
    }

    /// What happens; a number picks one of the waiters.
    #[derive(Clone, Copy, Debug)]
    enum Operation {
        Arrive,
        Poll(usize),
        Leave(usize),
        Notify,
        Forget,
    }

    fn operation() -> impl Strategy<Value = Operation> {
        prop_oneof![
            Just(Operation::Arrive),
            any::<usize>().prop_map(Operation::Poll),
            any::<usize>().prop_map(Operation::Leave),
            Just(Operation::Notify),
            Just(Operation::Forget),
        ]
    }

    /// Records the number of the waiter that is woken.
    struct Woken(Mutex<Vec<usize>>, usize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.lock().unwrap().push(self.1);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 256 }))]

        /// Compares with a model of two plain lists: of the waiters that have not been notified, and of those that have.
        #[test]
        fn behaves_like_two_lists(operations in prop::collection::vec(operation(), 0..200)) {
            let mut queue = Queue::default();
            let mut handles: Vec<(Option<usize>, Arc<Woken>)> = Vec::new();
            let (mut unnotified, mut notified): (Vec<usize>, Vec<usize>) = Default::default();
            let (mut was_overtaken, mut forgotten) = (BTreeSet::new(), BTreeSet::new());
            for operation in operations {
                match operation {
                    Operation::Arrive => {
                        let number = handles.len();
                        let woken = Arc::new(Woken(Mutex::default(), number));
                        let mut id = None;
                        queue.wait(&mut id, &Waker::from(Arc::clone(&woken)));
                        handles.push((id, woken));
                        unnotified.push(number);
                    }
                    Operation::Poll(which) if !handles.is_empty() => {
                        let number = which % handles.len();
                        let (id, woken) = &mut handles[number];
                        if id.is_some() {
                            queue.wait(id, &Waker::from(Arc::clone(woken)));
                            if notified.contains(&number) {
                                notified.retain(|&other| other != number);
                                unnotified.insert(0, number);
                                was_overtaken.insert(number);
                            }
                        }
                    }
                    Operation::Leave(which) if !handles.is_empty() => {
                        let number = which % handles.len();
                        if let Some(id) = handles[number].0.take() {
                            let (was_notified, _) = queue.leave(id);
                            prop_assert_eq!(was_notified, notified.contains(&number));
                            notified.retain(|&other| other != number);
                            unnotified.retain(|&other| other != number);
                        }
                    }
                    Operation::Notify => {
                        let next = queue.notify();
                        prop_assert_eq!(next.is_some(), !unnotified.is_empty());
                        if let Some(waker) = next {
                            let number = unnotified.remove(0);
                            waker.wake();
                            prop_assert_eq!(handles[number].1.0.lock().unwrap().pop(), Some(number));
                            notified.push(number);
                            forgotten.remove(&number);
                        }
                    }
                    Operation::Forget => {
                        queue.forget_overtaken();
                        forgotten.extend(notified.iter().copied());
                    }
                    Operation::Poll(_) | Operation::Leave(_) => {}
                }
                prop_assert_eq!(queue.has_unnotified(), !unnotified.is_empty());
                prop_assert_eq!(queue.is_empty(), unnotified.is_empty() && notified.is_empty());
                prop_assert_eq!(queue.defers(), notified.iter().any(|number| {
                    was_overtaken.contains(number) && !forgotten.contains(number)
                }));
            }
        }
    }
}
