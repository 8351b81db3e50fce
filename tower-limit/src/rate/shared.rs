//! The state that the handles of one limit share: the window or the bucket, and its waiters.

use std::sync::Arc;
use std::task::Waker;

use slab::Slab;
use tokio::time::Instant;
use tower_readiness::ignore_poison;

use super::tickets::{Reservation, Tickets};
use super::token_bucket::SharedBucket;
use super::window::Window;
use super::{Rate, TokenBucket};
use crate::sync::{Mutex, MutexGuard};

/// The state of one limit.
#[derive(Debug)]
struct Limit {
    fast: Fast,
    state: Mutex<State>,
}

/// What is taken without the lock.
#[derive(Debug)]
enum Fast {
    /// Of a window, which is in the locked state.
    Tickets(Tickets),
    Bucket(SharedBucket),
}

#[derive(Debug)]
struct State {
    /// `None` with a bucket.
    window: Option<Window>,
    /// Handles that wait for their timers. A returned request wakes them all, as any of them may never poll again.
    waiting: Slab<Waker>,
}

/// One handle's reference to the limit. Dropping it returns its reservation.
#[derive(Debug)]
pub(super) struct LimitHandle {
    limit: Arc<Limit>,
    /// The request that is reserved.
    pub(super) reservation: Option<Reservation>,
    /// The handle's entry among the waiters.
    waiter_id: Option<usize>,
}

impl LimitHandle {
    pub(super) fn new(rate: Rate) -> Self {
        Self::build(Fast::Tickets(Tickets::new()), Some(Window::new(rate)))
    }

    pub(super) fn token_bucket(bucket: TokenBucket) -> Self {
        let bucket = SharedBucket::new(bucket, Instant::now());
        Self::build(Fast::Bucket(bucket), None)
    }

    fn build(fast: Fast, window: Option<Window>) -> Self {
        let state = Mutex::new(State {
            window,
            waiting: Slab::new(),
        });
        Self::of(Arc::new(Limit { fast, state }))
    }

    const fn of(limit: Arc<Limit>) -> Self {
        Self {
            limit,
            reservation: None,
            waiter_id: None,
        }
    }

    /// Creates another handle of the same limit.
    pub(super) fn for_clone(&self) -> Self {
        Self::of(Arc::clone(&self.limit))
    }

    /// Takes a request of the open batch, or a token. Returns `None` if none is left, or if this handle waits.
    #[inline]
    pub(super) fn take_fast(&self) -> Option<Reservation> {
        if self.waiter_id.is_some() {
            return None;
        }
        match &self.limit.fast {
            Fast::Tickets(tickets) => tickets.take(),
            Fast::Bucket(bucket) => bucket.take(Instant::now()).ok(),
        }
    }

    /// Takes a request for a handle that got none by [`take_fast`](Self::take_fast). If there is none, returns when there may be
    /// one; `waker` is woken if there is one earlier.
    pub(super) fn take(&mut self, waker: &Waker) -> Result<Reservation, Instant> {
        self.find(Some(waker), Limit::take)
    }

    /// Like [`take`](Self::take), but does not wait if there is none.
    pub(super) fn try_take(&mut self) -> Result<Reservation, Instant> {
        self.find(None, Limit::take)
    }

    /// Like [`take`](Self::take), but takes nothing.
    pub(super) fn peek(&mut self, waker: &Waker) -> Result<(), Instant> {
        self.find(Some(waker), Limit::peek)
    }

    /// Returns when there may be a request, if there is none now.
    pub(super) fn try_peek(&mut self) -> Result<(), Instant> {
        self.find(None, Limit::peek)
    }

    fn find<R>(
        &mut self,
        waker: Option<&Waker>,
        find: impl FnOnce(&Limit, &mut State) -> Result<R, Instant>,
    ) -> Result<R, Instant> {
        let mut state = self.limit.lock();
        let found = find(&self.limit, &mut state);
        if found.is_ok() {
            if self.waiter_id.is_some() {
                leave(&mut self.waiter_id, state);
            }
        } else if let Some(waker) = waker {
            wait(&mut self.waiter_id, state, waker);
        }
        found
    }

    /// Counts a request that was not reserved, if there is room for it.
    pub(super) fn take_late(&self) {
        let _used = self.limit.take(&mut self.limit.lock());
    }

    /// Returns the reservation, and stops waiting.
    pub(super) fn give_back(&mut self) {
        if self.waiter_id.is_some() {
            leave(&mut self.waiter_id, self.limit.lock());
        }
        if let Some(reservation) = self.reservation.take() {
            let mut state = self.limit.lock();
            self.limit.give_back(&mut state, &reservation);
            let waiting: Vec<_> = state
                .waiting
                .iter()
                .map(|(_, waker)| waker.clone())
                .collect();
            drop(state);
            for waker in waiting {
                waker.wake();
            }
        }
    }
}

impl Drop for LimitHandle {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Registers the waker of a handle that waits, in place of the handle's last one.
#[cold]
fn wait(waiter_id: &mut Option<usize>, mut state: MutexGuard<'_, State>, waker: &Waker) {
    let outdated = match waiter_id.map(|waiter_id| &mut state.waiting[waiter_id]) {
        Some(known) if known.will_wake(waker) => None,
        Some(known) => Some(std::mem::replace(known, waker.clone())),
        None => {
            *waiter_id = Some(state.waiting.insert(waker.clone()));
            None
        }
    };
    drop(state);
    drop(outdated);
}

/// Removes the waker, and drops it without the lock.
#[cold]
fn leave(waiter_id: &mut Option<usize>, mut state: MutexGuard<'_, State>) {
    let waker = waiter_id
        .take()
        .map(|waiter_id| state.waiting.remove(waiter_id));
    drop(state);
    drop(waker);
}

impl Limit {
    fn take(&self, state: &mut State) -> Result<Reservation, Instant> {
        match (&self.fast, &mut state.window) {
            (Fast::Tickets(tickets), Some(window)) => window.take(tickets, Instant::now),
            (Fast::Bucket(bucket), _) => bucket.take(Instant::now()),
            (Fast::Tickets(_), None) => unreachable!("tickets are those of a window"),
        }
    }

    fn peek(&self, state: &mut State) -> Result<(), Instant> {
        if let Fast::Bucket(bucket) = &self.fast {
            return bucket.peek(Instant::now());
        }
        let reservation = self.take(state)?;
        self.give_back(state, &reservation);
        Ok(())
    }

    fn give_back(&self, state: &mut State, reservation: &Reservation) {
        match (&self.fast, &mut state.window) {
            (Fast::Tickets(tickets), Some(window)) => window.give_back(tickets, reservation),
            (Fast::Bucket(bucket), _) => bucket.give_back(reservation),
            (Fast::Tickets(_), None) => unreachable!("tickets are those of a window"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        ignore_poison(self.state.lock())
    }
}

#[cfg(all(test, tower_loom))]
mod loom_tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Wake;
    use std::time::Duration;

    use loom::thread;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    const FOR_LONG: Duration = Duration::from_secs(3600);

    /// Two threads ask for more than is left, across the end of a batch and of the rate.
    #[test]
    fn threads_together_take_no_more_than_the_rate() {
        loom::model(|| {
            // Batches of two.
            let mut handle = LimitHandle::new(Rate::new(128 + 1, FOR_LONG));
            handle
                .limit
                .lock()
                .window
                .as_mut()
                .unwrap()
                .use_up_all_but(3);
            let mut other = handle.for_clone();
            let take = |handle: &mut LimitHandle| {
                let mut taken = 0;
                for _ in 0..2 {
                    let found = handle.take_fast().ok_or(());
                    taken += usize::from(found.or_else(|()| handle.take(Waker::noop())).is_ok());
                }
                taken
            };
            let thread = thread::spawn(move || take(&mut other));
            let mine = take(&mut handle);
            assert_eq!(mine + thread.join().unwrap(), 3);
        });
    }

    /// One thread returns its request while another finds none: the other gets it, or is woken.
    #[test]
    fn a_returned_request_is_not_lost() {
        loom::model(|| {
            let mut handle = LimitHandle::new(Rate::new(128 + 1, FOR_LONG));
            handle
                .limit
                .lock()
                .window
                .as_mut()
                .unwrap()
                .use_up_all_but(2);
            handle.reservation = handle
                .take_fast()
                .or_else(|| handle.take(Waker::noop()).ok());
            let mut other = handle.for_clone();
            let last = other.take_fast().or_else(|| other.take(Waker::noop()).ok());
            assert!(handle.reservation.is_some() && last.is_some());
            let woken = Arc::new(Woken::default());
            let waker = Waker::from(Arc::clone(&woken));
            let thread = thread::spawn(move || {
                let taken = other.take_fast();
                let taken = taken.or_else(|| other.take(&waker).ok()).is_some();
                // Dropping it would return its request and wake others.
                std::mem::forget(other);
                taken
            });
            handle.give_back();
            let theirs = thread.join().unwrap();
            assert!(theirs || woken.0.load(Ordering::Relaxed));
            let left = handle
                .take_fast()
                .or_else(|| handle.take(Waker::noop()).ok());
            assert!(theirs != left.is_some(), "exactly one of the two gets it");
        });
    }
}
