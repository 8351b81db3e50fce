//! The handles that wait for a place, in their order of arrival, and those that have been granted one. Pure: no places, no
//! locks, no wake-ups.

use std::task::Waker;

use slab::Slab;

/// A list that is linked both ways, so that a handle can leave it anywhere, in constant time.
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
    /// Not in the list: the handle has been granted a place that it has not taken yet.
    Granted,
}

/// What a handle had that left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Had {
    /// It was waiting.
    Waited,
    /// It had been granted a place.
    Granted,
    /// The list has been [cleared](WaitList::clear).
    Nothing,
}

impl WaitList {
    /// Returns whether no handle waits. Some may have been granted a place.
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

    /// Removes a handle that has been granted a place and returns `true`. Otherwise the handle waits on, with this waker.
    pub(crate) fn take_granted(&mut self, key: usize, new_waker: &Waker) -> bool {
        if let Entry::Waiting { waker, .. } = &mut self.entries[key] {
            waker.clone_from(new_waker);
            return false;
        }
        self.entries.remove(key);
        true
    }

    /// Grants the first handle a place. Returns its waker, or `None` if no handle waits.
    pub(crate) fn grant(&mut self) -> Option<Waker> {
        let first = &mut self.entries[self.first?];
        let granted = std::mem::replace(first, Entry::Granted);
        self.unlink(granted)
    }

    /// Removes a handle. Its key must not be used again.
    pub(crate) fn leave(&mut self, key: usize) -> Had {
        match self.entries.try_remove(key) {
            None => Had::Nothing,
            Some(Entry::Granted) => Had::Granted,
            Some(waiting) => {
                self.unlink(waiting);
                Had::Waited
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

    /// Takes an entry that has been removed out of the list. Returns its waker.
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
    fn a_granted_place_is_taken_once() {
        let mut list = WaitList::default();
        let key = list.add(Waker::noop().clone());
        assert!(!list.is_empty() && !list.take_granted(key, Waker::noop()));
        assert!(list.grant().is_some() && list.is_empty() && list.grant().is_none());
        assert!(list.take_granted(key, Waker::noop()));
        assert_eq!(list.leave(key), Had::Nothing);
    }

    #[test]
    fn a_handle_that_was_granted_a_place_keeps_it_when_the_list_is_cleared() {
        let mut list = WaitList::default();
        let [granted, waiting] = [(); 2].map(|()| list.add(Waker::noop().clone()));
        list.grant();
        assert_eq!(list.clear().len(), 1);
        assert_eq!(list.leave(waiting), Had::Nothing);
        assert_eq!(list.leave(granted), Had::Granted);
    }

    /// What happens; a number picks one of the handles.
    #[derive(Clone, Copy, Debug)]
    enum Operation {
        Add,
        Poll(usize),
        Leave(usize),
        Grant,
    }

    fn operation() -> impl Strategy<Value = Operation> {
        prop_oneof![
            Just(Operation::Add),
            any::<usize>().prop_map(Operation::Poll),
            any::<usize>().prop_map(Operation::Leave),
            Just(Operation::Grant),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 256 }))]

        /// Compares with a model of two plain lists: of the handles that wait, and of those that have been granted a place.
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
                    Operation::Leave(which) if !keys.is_empty() => {
                        let number = which % keys.len();
                        if let Some(key) = keys[number].take() {
                            let had = if granted.contains(&number) { Had::Granted } else { Had::Waited };
                            prop_assert_eq!(list.leave(key), had);
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
                    Operation::Poll(_) | Operation::Leave(_) => {}
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
