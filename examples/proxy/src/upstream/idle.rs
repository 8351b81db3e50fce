//! Idle connections, kept apart for each thread.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::lock::lock;
use crate::threads;

/// A stack of connections for each thread, since a connection is served by the thread that has opened it. Threads share
/// stacks if there are more of them than cores.
#[derive(Debug)]
pub(super) struct Idle<C> {
    stacks: Box<[Mutex<Vec<C>>]>,
    closed: AtomicBool,
}

impl<C> Idle<C> {
    pub(super) fn new() -> Self {
        Self {
            stacks: (0..threads::cores()).map(|_| Mutex::default()).collect(),
            closed: AtomicBool::new(false),
        }
    }

    /// Returns the index of the stack for the connections that this thread opens.
    pub(super) fn own(&self) -> usize {
        threads::index() % self.stacks.len()
    }

    /// Takes the most recent connection of this thread that is `usable`, or else one of another thread.
    pub(super) fn take(&self, usable: impl Fn(&C) -> bool) -> Option<C> {
        let (others, own) = self.stacks.split_at(self.own());
        let mut stacks = own.iter().chain(others);
        stacks.find_map(|stack| {
            let mut stack = lock(stack);
            let newest = stack.iter().rposition(&usable)?;
            Some(stack.remove(newest))
        })
    }

    /// Adds a connection to the stack with this index, or drops it if the stacks are closed. Returns whether it was
    /// added.
    pub(super) fn put(&self, index: usize, connection: C) -> bool {
        let mut stack = lock(&self.stacks[index]);
        let open = !self.closed.load(Ordering::Relaxed);
        if open {
            stack.push(connection);
        }
        open
    }

    /// Drops the connections that are `over`.
    pub(super) fn sweep(&self, mut over: impl FnMut(&mut C) -> bool) {
        for stack in &self.stacks {
            let over: Vec<_> = lock(stack).extract_if(.., &mut over).collect();
            // After the lock is released.
            drop(over);
        }
    }

    /// Drops all connections, also those that are returned later.
    pub(super) fn close(&self) {
        // Whoever locks a stack after the sweep sees it.
        self.closed.store(true, Ordering::Relaxed);
        self.sweep(|_| true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With a stack more than this thread has, whatever the number of cores.
    fn idle() -> Idle<u32> {
        Idle {
            stacks: (0..3).map(|_| Mutex::default()).collect(),
            closed: AtomicBool::new(false),
        }
    }

    #[test]
    fn a_thread_takes_its_own_connections_first_and_then_those_of_others() {
        let idle = idle();
        let own = idle.own();
        let other = (own + 1) % 3;
        for (index, connection) in [(own, 1), (own, 2), (own, 3), (other, 4), (other, 5)] {
            assert!(idle.put(index, connection));
        }
        let usable = |connection: &u32| *connection != 3;
        let taken: Vec<_> = std::iter::from_fn(|| idle.take(usable)).collect();
        assert_eq!(taken, [2, 1, 5, 4]);
        assert_eq!(idle.take(|_| true), Some(3));
    }

    #[test]
    fn a_closed_set_keeps_nothing() {
        let idle = idle();
        idle.put(0, 1);
        idle.put(2, 2);
        idle.close();
        assert!(!idle.put(1, 3));
        assert_eq!(idle.take(|_| true), None);
    }
}
