//! The handles that wait for a slot, in their order of arrival, and those that have been granted one. Pure: it counts no
//! slots, takes no locks and wakes no tasks.

use std::task::Waker;

use slab::Slab;

/// A doubly linked list in a slab, so that any handle can be removed in constant time.
///
/// A `BTreeMap` from numbers to wakers would do as well, but the compiler generates 20 kB of code for one.
#[derive(Debug, Default)]
pub(crate) struct WaitList {
    entries: Slab<Entry>,
    first: Option<usize>,
    last: Option<usize>,
}

#[derive(Debug)]
enum Entry {
    Waiting {
        waker: Waker,
        before: Option<usize>,
        after: Option<usize>,
    },
    /// Not in the list: the handle has been granted a slot that it has not taken yet.
    Granted,
}

/// The state in which a handle was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removed {
    /// The handle was waiting.
    Waiting,
    /// The handle had been granted a slot that it had not taken.
    Granted,
    /// The list had been [cleared](WaitList::clear) before.
    Absent,
}

impl WaitList {
    /// Returns whether no handle waits. Some may have been granted a slot.
    pub(crate) const fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Adds a handle at the end. Returns the key of its entry.
    pub(crate) fn add(&mut self, waker: Waker) -> usize {
        let (before, after) = (self.last, None);
        let key = self.entries.insert(Entry::Waiting {
            waker,
            before,
            after,
        });
        *self.after(before) = Some(key);
        self.last = Some(key);
        key
    }

    /// Removes a handle that has been granted a slot and returns `true`. Otherwise the handle waits on, with this waker.
    pub(crate) fn take_granted(&mut self, key: usize, new_waker: &Waker) -> bool {
        if let Entry::Waiting { waker, .. } = &mut self.entries[key] {
            waker.clone_from(new_waker);
            return false;
        }
        self.entries.remove(key);
        true
    }

    /// Grants the first handle a slot. Returns its waker, or `None` if no handle waits.
    pub(crate) fn grant(&mut self) -> Option<Waker> {
        let first = &mut self.entries[self.first?];
        let granted = std::mem::replace(first, Entry::Granted);
        self.unlink(granted)
    }

    /// Removes a handle. Its key must not be used again.
    pub(crate) fn remove(&mut self, key: usize) -> Removed {
        match self.entries.try_remove(key) {
            None => Removed::Absent,
            Some(Entry::Granted) => Removed::Granted,
            Some(waiting) => {
                self.unlink(waiting);
                Removed::Waiting
            }
        }
    }

    /// Removes all waiting handles and returns their wakers. No handle may be added afterwards: it could get the key of one that
    /// was removed.
    pub(crate) fn clear(&mut self) -> Vec<Waker> {
        let mut wakers = Vec::new();
        while let Some(first) = self.first {
            let waiting = self.entries.remove(first);
            wakers.extend(self.unlink(waiting));
        }
        wakers
    }

    /// Unlinks an entry that has been removed from the slab. Returns its waker.
    fn unlink(&mut self, removed: Entry) -> Option<Waker> {
        let Entry::Waiting {
            waker,
            before,
            after,
        } = removed
        else {
            return None;
        };
        *self.after(before) = after;
        *self.before(after) = before;
        Some(waker)
    }

    /// Returns the link to the entry after `key`, or the head of the list for `None`.
    fn after(&mut self, key: Option<usize>) -> &mut Option<usize> {
        match key.map(|key| &mut self.entries[key]) {
            Some(Entry::Waiting { after, .. }) => after,
            Some(Entry::Granted) => unreachable!("neighbours are waiting"),
            None => &mut self.first,
        }
    }

    /// Returns the link to the entry before `key`, or the tail of the list for `None`.
    fn before(&mut self, key: Option<usize>) -> &mut Option<usize> {
        match key.map(|key| &mut self.entries[key]) {
            Some(Entry::Waiting { before, .. }) => before,
            Some(Entry::Granted) => unreachable!("neighbours are waiting"),
            None => &mut self.last,
        }
    }
}

#[cfg(all(test, not(tower_loom)))]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::task::Wake;

    use proptest::prelude::*;

    use super::*;

    /// Records the number of the handle that is woken.
    struct Woken(Arc<Mutex<Vec<usize>>>, usize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.lock().unwrap().push(self.1);
        }
    }

    #[test]
    fn a_granted_slot_is_taken_once() {
        let mut list = WaitList::default();
        let key = list.add(Waker::noop().clone());
        assert!(!list.is_empty() && !list.take_granted(key, Waker::noop()));
        assert!(list.grant().is_some() && list.is_empty() && list.grant().is_none());
        assert!(list.take_granted(key, Waker::noop()));
        assert_eq!(list.remove(key), Removed::Absent);
    }

    #[test]
    fn a_handle_that_was_granted_a_place_keeps_it_when_the_list_is_cleared() {
        let mut list = WaitList::default();
        let [granted, waiting] = [(); 2].map(|()| list.add(Waker::noop().clone()));
        list.grant();
        assert_eq!(list.clear().len(), 1);
        assert_eq!(list.remove(waiting), Removed::Absent);
        assert_eq!(list.remove(granted), Removed::Granted);
    }

    /// An operation on the list; the number selects one of the handles.
    #[derive(Clone, Copy, Debug)]
    enum Operation {
        Add,
        Poll(usize),
        Remove(usize),
        Grant,
    }

    fn operation() -> impl Strategy<Value = Operation> {
        prop_oneof![
            Just(Operation::Add),
            any::<usize>().prop_map(Operation::Poll),
            any::<usize>().prop_map(Operation::Remove),
            Just(Operation::Grant),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 256 }))]

        /// Compares with a model of two plain lists: of the handles that wait, and of those that have been granted a slot.
        #[test]
        fn behaves_like_two_lists(operations in prop::collection::vec(operation(), 0..200)) {
            let mut list = WaitList::default();
            let woken = Arc::new(Mutex::new(Vec::new()));
            let waker = |number| Waker::from(Arc::new(Woken(Arc::clone(&woken), number)));
            let mut keys: Vec<Option<usize>> = Vec::new();
            let (mut waiting, mut granted): (Vec<usize>, Vec<usize>) = Default::default();
            for operation in operations {
                match operation {
                    Operation::Add => {
                        waiting.push(keys.len());
                        keys.push(Some(list.add(waker(keys.len()))));
                    }
                    Operation::Poll(which) if !keys.is_empty() => {
                        let number = which % keys.len();
                        if let Some(key) = keys[number] {
                            let taken = list.take_granted(key, &waker(number));
                            prop_assert_eq!(taken, granted.contains(&number));
                            if taken {
                                keys[number] = None;
                                granted.retain(|&other| other != number);
                            }
                        }
                    }
                    Operation::Remove(which) if !keys.is_empty() => {
                        let number = which % keys.len();
                        if let Some(key) = keys[number].take() {
                            let removed = if granted.contains(&number) { Removed::Granted } else { Removed::Waiting };
                            prop_assert_eq!(list.remove(key), removed);
                            granted.retain(|&other| other != number);
                            waiting.retain(|&other| other != number);
                        }
                    }
                    Operation::Grant => {
                        let next = list.grant();
                        prop_assert_eq!(next.is_some(), !waiting.is_empty());
                        if let Some(waker) = next {
                            waker.wake();
                            let number = waiting.remove(0);
                            prop_assert_eq!(woken.lock().unwrap().pop(), Some(number));
                            granted.push(number);
                        }
                    }
                    Operation::Poll(_) | Operation::Remove(_) => {}
                }
                prop_assert_eq!(list.is_empty(), waiting.is_empty());
            }
            for waker in list.clear() {
                waker.wake();
            }
            prop_assert_eq!(&*woken.lock().unwrap(), &waiting);
            prop_assert!(list.is_empty());
        }
    }
}
