//! Who waits for a permit, in which order, and who is told of one. Pure: no permits, no locks, no wake-ups.

use std::task::Waker;

use slab::Slab;
use tokio::runtime::Handle;

/// Waiters in the order in which they came.
///
/// A waiter that is told of a permit may never ask for it: its caller may have lost interest and kept the handle. So a
/// permit is never kept for a waiter. Whoever asks while one is free takes it, with one exception: a newcomer lets a
/// waiter pass that came for a permit and found it taken, once. So no waiter starves where others ask again and again.
/// That is [forgotten](Self::forget_overtaken) as soon as one newcomer has done so, or when the waiter does not come.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiters: Slab<Waiter>,
    /// The ends of the list of those who have not been told of a permit.
    first: Option<usize>,
    last: Option<usize>,
    /// How many have been told after they had come in vain, since that was last forgotten.
    overtaken: usize,
    /// Counts how often it was forgotten.
    epoch: usize,
}

#[derive(Debug)]
struct Waiter {
    waker: Waker,
    /// Where it waits.
    runtime: Option<Handle>,
    /// Has been told of a permit, and has not asked since. Then it is not in the list.
    told: bool,
    /// Has asked after it was told, and there was no permit left.
    came: bool,
    /// In which epoch it was told.
    told_in: usize,
    before: Option<usize>,
    after: Option<usize>,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// Whether some have not been told of a permit.
    pub(super) const fn has_untold(&self) -> bool {
        self.first.is_some()
    }

    /// Where the next to be told waits.
    pub(super) fn next_runtime(&self) -> Option<Handle> {
        self.waiters[self.first?].runtime.clone()
    }

    /// Whether a newcomer has to wait although there may be a permit.
    pub(super) const fn defers(&self) -> bool {
        self.overtaken > 0
    }

    /// Newcomers need not wait for those that have been told so far.
    pub(super) fn forget_overtaken(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        self.overtaken = 0;
    }

    /// Waits on, or anew if it has no id yet. `waker` is woken when it is told. Returns the waker that it replaces.
    pub(super) fn wait(&mut self, id: &mut Option<usize>, waker: &Waker) -> Option<Waker> {
        let Some(known) = *id else {
            let waiter = Waiter {
                waker: waker.clone(),
                runtime: Handle::try_current().ok(),
                told: false,
                came: false,
                told_in: 0,
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
        if std::mem::take(&mut waiter.told) {
            self.overtaken -= usize::from(waiter.came && waiter.told_in == self.epoch);
            waiter.came = true;
            // Those before it have been told as well.
            self.link(None, known, self.first);
        }
        outdated
    }

    /// It waits no more. Returns whether it had been told of a permit, and its waker.
    pub(super) fn leave(&mut self, id: usize) -> (bool, Waker) {
        let waiter = self.waiters.remove(id);
        if waiter.told {
            self.overtaken -= usize::from(waiter.came && waiter.told_in == self.epoch);
        } else {
            self.unlink(waiter.before, waiter.after);
        }
        (waiter.told, waiter.waker)
    }

    /// Tells the first that has not been told. Returns its waker.
    pub(super) fn tell(&mut self) -> Option<Waker> {
        let waiter = &mut self.waiters[self.first?];
        waiter.told = true;
        waiter.told_in = self.epoch;
        self.overtaken += usize::from(waiter.came);
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

    /// What follows `id`, or the start of the list.
    fn after(&mut self, id: Option<usize>) -> &mut Option<usize> {
        match id {
            Some(id) => &mut self.waiters[id].after,
            None => &mut self.first,
        }
    }

    /// What precedes `id`, or the end of the list.
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
    fn tells_in_the_order_of_arrival_and_each_once() {
        let mut queue = Queue::default();
        let (first, mut second) = (wait(&mut queue), wait(&mut queue));
        assert!(queue.tell().is_some() && queue.tell().is_some() && queue.tell().is_none());
        // The second came in vain, and waits on in its place.
        queue.wait(&mut second, Waker::noop());
        assert!(queue.has_untold());
        assert!(queue.tell().is_some() && !queue.has_untold());
        assert!(queue.leave(first.unwrap()).0);
        assert!(queue.leave(second.unwrap()).0);
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
        queue.tell();
        assert!(queue.defers());
        queue.forget_overtaken();
        assert!(!queue.defers());
        queue.wait(&mut id, Waker::noop());
        queue.tell();
        assert!(queue.defers());
    }
    /// Which waiter does what, as its number among those that are there.
    #[derive(Clone, Copy, Debug)]
    enum Operation {
        Arrive,
        Ask(usize),
        Leave(usize),
        Tell,
        Forget,
    }

    fn operation() -> impl Strategy<Value = Operation> {
        prop_oneof![
            Just(Operation::Arrive),
            any::<usize>().prop_map(Operation::Ask),
            any::<usize>().prop_map(Operation::Leave),
            Just(Operation::Tell),
            Just(Operation::Forget),
        ]
    }

    /// A waiter that is told wakes this.
    struct Told(Mutex<Vec<usize>>, usize);

    impl Wake for Told {
        fn wake(self: Arc<Self>) {
            self.0.lock().unwrap().push(self.1);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 256 }))]

        /// Against two plain lists: of those who wait to be told, and of those who have been.
        #[test]
        fn it_is_two_lists(operations in prop::collection::vec(operation(), 0..200)) {
            let mut queue = Queue::default();
            let mut handles: Vec<(Option<usize>, Arc<Told>)> = Vec::new();
            let (mut untold, mut told): (Vec<usize>, Vec<usize>) = Default::default();
            let (mut came, mut forgotten) = (BTreeSet::new(), BTreeSet::new());
            for operation in operations {
                match operation {
                    Operation::Arrive => {
                        let number = handles.len();
                        let woken = Arc::new(Told(Mutex::default(), number));
                        let mut id = None;
                        queue.wait(&mut id, &Waker::from(Arc::clone(&woken)));
                        handles.push((id, woken));
                        untold.push(number);
                    }
                    Operation::Ask(which) if !handles.is_empty() => {
                        let number = which % handles.len();
                        let (id, woken) = &mut handles[number];
                        if id.is_some() {
                            queue.wait(id, &Waker::from(Arc::clone(woken)));
                            if told.contains(&number) {
                                told.retain(|&other| other != number);
                                untold.insert(0, number);
                                came.insert(number);
                            }
                        }
                    }
                    Operation::Leave(which) if !handles.is_empty() => {
                        let number = which % handles.len();
                        if let Some(id) = handles[number].0.take() {
                            let (was_told, _) = queue.leave(id);
                            prop_assert_eq!(was_told, told.contains(&number));
                            told.retain(|&other| other != number);
                            untold.retain(|&other| other != number);
                        }
                    }
                    Operation::Tell => {
                        let next = queue.tell();
                        prop_assert_eq!(next.is_some(), !untold.is_empty());
                        if let Some(waker) = next {
                            let number = untold.remove(0);
                            waker.wake();
                            prop_assert_eq!(handles[number].1.0.lock().unwrap().pop(), Some(number));
                            told.push(number);
                            forgotten.remove(&number);
                        }
                    }
                    Operation::Forget => {
                        queue.forget_overtaken();
                        forgotten.extend(told.iter().copied());
                    }
                    Operation::Ask(_) | Operation::Leave(_) => {}
                }
                prop_assert_eq!(queue.has_untold(), !untold.is_empty());
                prop_assert_eq!(queue.is_empty(), untold.is_empty() && told.is_empty());
                prop_assert_eq!(queue.defers(), told.iter().any(|number| {
                    came.contains(number) && !forgotten.contains(number)
                }));
            }
        }
    }
}
