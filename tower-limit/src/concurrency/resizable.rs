//! Permits whose number changes.

use std::sync::Arc;

use super::ConcurrencyLimit;
use super::counted::Counted;
use super::permits::{Permits, leave};
use super::pool::Pool;

/// A number of permits that changes.
#[derive(Clone)]
pub(crate) struct ResizablePermits {
    pool: Counted<Pool>,
}

impl ResizablePermits {
    pub(crate) fn new(permits: usize) -> Self {
        Self {
            pool: Counted::new(permits, Pool::new(None, Arc::default())),
        }
    }

    /// Limits `service` by these permits.
    pub(crate) fn limit<S>(&self, service: S) -> ConcurrencyLimit<S> {
        ConcurrencyLimit::with_permits(service, &Permits::Own(self.pool.clone()))
    }

    /// Changes the number of permits from `from` to `to`. Permits that are taken now are removed when they are returned. After more
    /// were added, [`notify`](Self::notify) must be called.
    pub(crate) fn resize(&self, from: usize, to: usize) {
        let pool = &self.pool;
        let mut state = pool.wait_queue().lock();
        if let Some(more) = to.checked_sub(from) {
            let kept = more.min(state.overcommitted);
            state.overcommitted -= kept;
            pool.add(more - kept);
        } else {
            // From here on each returned permit is removed; permits that were returned before are found below.
            pool.set_notify();
            let fewer = from - to;
            let removed = (0..fewer).take_while(|_| pool.forget_free()).count();
            state.overcommitted += fewer - removed;
        }
        leave(pool, &mut None, state);
    }

    #[cfg(test)]
    fn wait(&self) -> super::permits::PermitWaiter {
        Permits::Own(self.pool.clone()).wait()
    }

    /// Notifies the next waiter if a permit is free. When that takes one, it notifies the next.
    pub(crate) fn notify(&self) {
        self.pool.notify();
    }

    /// Returns how many of `limit` permits are taken, which is more if there were more before.
    pub(crate) fn in_flight(&self, limit: usize) -> usize {
        match self.pool.free() {
            0 => limit + self.pool.wait_queue().lock().overcommitted,
            free => limit.saturating_sub(free),
        }
    }
}

#[cfg(all(test, not(tower_loom)))]
mod tests {
    use std::task::{Context, Poll, Waker};

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Operation {
        Take,
        Return(usize),
        /// A handle begins to wait, or polls again.
        Poll(usize),
        Resize(usize),
    }

    fn operation() -> impl Strategy<Value = Operation> {
        prop_oneof![
            Just(Operation::Take),
            any::<usize>().prop_map(Operation::Return),
            (0..3_usize).prop_map(Operation::Poll),
            (1..8_usize).prop_map(Operation::Resize),
        ]
    }

    proptest! {
        /// Compares with two numbers: the limit, and the permits that are taken.
        #[test]
        fn as_many_permits_are_given_out_as_the_limit_is_now(
            operations in prop::collection::vec(operation(), 0..100),
        ) {
            let mut limit = 3;
            let permits = ResizablePermits::new(limit);
            let mut handles = [permits.wait(), permits.wait(), permits.wait()];
            let mut newcomer = permits.wait();
            let cx = &mut Context::from_waker(Waker::noop());
            let mut taken = Vec::new();
            for operation in operations {
                match operation {
                    Operation::Take => taken.extend(newcomer.try_take()),
                    Operation::Return(which) if !taken.is_empty() => {
                        drop(taken.swap_remove(which % taken.len()));
                    }
                    Operation::Return(_) => {}
                    Operation::Poll(which) => {
                        if let Poll::Ready(permit) = handles[which].poll(cx) {
                            taken.push(permit);
                        }
                    }
                    Operation::Resize(to) => {
                        permits.resize(limit, to);
                        permits.notify();
                        limit = to;
                    }
                }
                prop_assert_eq!(permits.in_flight(limit), taken.len());
                prop_assert_eq!(newcomer.is_free(), taken.len() < limit);
            }
            drop((taken, handles));
            let all: Vec<_> = std::iter::from_fn(|| newcomer.try_take()).collect();
            prop_assert_eq!(all.len(), limit);
        }
    }
}

#[cfg(all(test, tower_loom))]
mod loom_tests {
    use loom::thread;

    use super::*;

    /// One thread returns its permit while another takes one away: it is the free one, or the one that is returned.
    #[test]
    fn a_permit_that_is_returned_while_the_limit_falls_is_removed() {
        loom::model(|| {
            let permits = ResizablePermits::new(2);
            let held = permits.wait().try_take().unwrap();
            let kept = permits.wait().try_take().unwrap();
            let other = permits.clone();
            let thread = thread::spawn(move || other.resize(2, 1));
            drop(held);
            thread.join().unwrap();
            assert_eq!(permits.in_flight(1), 1);
            assert!(permits.wait().try_take().is_none());
            drop(kept);
            assert!(permits.wait().try_take().is_some());
        });
    }
}
