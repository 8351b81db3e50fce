//! What happens when, in virtual time.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// Nanoseconds since the beginning.
pub type Nanos = u64;

/// A millisecond.
pub const MS: Nanos = 1_000_000;
/// A second.
pub const SECOND: Nanos = 1_000 * MS;

/// The events that are to come: the earliest first, and of those at the same time the one that was planned first. So nothing
/// depends on how a heap orders its equals.
#[derive(Debug)]
pub struct Agenda<E> {
    heap: BinaryHeap<Reverse<Planned<E>>>,
    planned: u64,
}

#[derive(Debug)]
struct Planned<E> {
    at: Nanos,
    number: u64,
    event: E,
}

impl<E> Agenda<E> {
    /// Nothing is planned.
    pub fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            planned: 0,
        }
    }

    /// `event` is to happen then.
    pub fn plan(&mut self, at: Nanos, event: E) {
        self.planned += 1;
        let number = self.planned;
        self.heap.push(Reverse(Planned { at, number, event }));
    }

    /// The next event, if it is no later than `end`.
    pub fn next_until(&mut self, end: Nanos) -> Option<(Nanos, E)> {
        if self.heap.peek()?.0.at > end {
            return None;
        }
        let Reverse(planned) = self.heap.pop()?;
        Some((planned.at, planned.event))
    }
}

impl<E> Default for Agenda<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> Ord for Planned<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl<E> PartialOrd for Planned<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Planned<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<E> Eq for Planned<E> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_the_same_time_happen_as_planned() {
        let mut agenda = Agenda::new();
        for (at, event) in [(7, "b"), (9, "d"), (7, "c"), (3, "a"), (10, "late")] {
            agenda.plan(at, event);
        }
        let events: Vec<_> = std::iter::from_fn(|| agenda.next_until(9)).collect();
        assert_eq!(events, [(3, "a"), (7, "b"), (7, "c"), (9, "d")]);
    }
}
