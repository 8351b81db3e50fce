//! The event queue, in virtual time.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// Nanoseconds since the start of the run.
pub type Nanos = u64;

/// One millisecond.
pub const MS: Nanos = 1_000_000;
/// One second.
pub const SECOND: Nanos = 1_000 * MS;

/// A priority queue of future events: the earliest first, and events of the same time in the order in which they were scheduled.
/// So the result does not depend on how a heap orders equal elements.
#[derive(Debug)]
pub struct EventQueue<E> {
    heap: BinaryHeap<Reverse<Scheduled<E>>>,
    scheduled: u64,
}

#[derive(Debug)]
struct Scheduled<E> {
    at: Nanos,
    number: u64,
    event: E,
}

impl<E> EventQueue<E> {
    /// Creates an empty queue.
    pub fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            scheduled: 0,
        }
    }

    /// Schedules `event` for the time `at`.
    pub fn schedule(&mut self, at: Nanos, event: E) {
        self.scheduled += 1;
        let number = self.scheduled;
        self.heap.push(Reverse(Scheduled { at, number, event }));
    }

    /// Removes and returns the next event and its time, or `None` if there is none until `end`.
    pub fn next_until(&mut self, end: Nanos) -> Option<(Nanos, E)> {
        if self.heap.peek()?.0.at > end {
            return None;
        }
        let Reverse(scheduled) = self.heap.pop()?;
        Some((scheduled.at, scheduled.event))
    }
}

impl<E> Default for EventQueue<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> Ord for Scheduled<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl<E> PartialOrd for Scheduled<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Scheduled<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<E> Eq for Scheduled<E> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_the_same_time_happen_in_the_order_of_scheduling() {
        let mut queue = EventQueue::new();
        for (at, event) in [(7, "b"), (9, "d"), (7, "c"), (3, "a"), (10, "late")] {
            queue.schedule(at, event);
        }
        let events: Vec<_> = std::iter::from_fn(|| queue.next_until(9)).collect();
        assert_eq!(events, [(3, "a"), (7, "b"), (7, "c"), (9, "d")]);
    }
}
