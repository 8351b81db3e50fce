//! What the handles of one limit share: the window, and who waits for it.

use std::sync::{Arc, PoisonError};
use std::task::Waker;

use slab::Slab;
use tokio::time::Instant;

use super::Rate;
use super::tickets::{Taken, Tickets};
use super::window::Window;
use crate::sync::{Mutex, MutexGuard};

/// One limit.
#[derive(Debug)]
struct Shared {
    tickets: Tickets,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    window: Window,
    /// Handles that wait for their timers. A request that is given back before wakes them all: any of them may be gone.
    waiting: Slab<Waker>,
}

/// One handle's part in the limit. Dropping it gives back what is reserved.
#[derive(Debug)]
pub(super) struct Share {
    shared: Arc<Shared>,
    /// What is reserved.
    pub(super) taken: Option<Taken>,
    /// Its place among those that wait.
    waits: Option<usize>,
}

impl Share {
    pub(super) fn new(rate: Rate) -> Self {
        let state = State {
            window: Window::new(rate),
            waiting: Slab::new(),
        };
        Self::of(Arc::new(Shared {
            tickets: Tickets::new(),
            state: Mutex::new(state),
        }))
    }

    const fn of(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            taken: None,
            waits: None,
        }
    }

    /// Another handle's part.
    pub(super) fn again(&self) -> Self {
        Self::of(Arc::clone(&self.shared))
    }

    /// A request of the open batch, unless this handle waits.
    #[inline]
    pub(super) fn take_ticket(&self) -> Option<Taken> {
        if self.waits.is_some() {
            return None;
        }
        self.shared.tickets.take()
    }

    /// A request, for a handle that got no [ticket](Self::take_ticket). Otherwise it is told when there may be one, and
    /// `waker` is woken if there is one earlier.
    pub(super) fn take(&mut self, waker: &Waker) -> Result<Taken, Instant> {
        self.find(waker, |window, tickets| window.take(tickets, Instant::now))
    }

    /// Whether there is a request, without taking it; as [`take`](Self::take).
    pub(super) fn look(&mut self, waker: &Waker) -> Result<(), Instant> {
        self.find(waker, |window, tickets| {
            let taken = window.take(tickets, Instant::now)?;
            window.give_back(tickets, &taken);
            Ok(())
        })
    }

    fn find<R>(
        &mut self,
        waker: &Waker,
        find: impl FnOnce(&mut Window, &Tickets) -> Result<R, Instant>,
    ) -> Result<R, Instant> {
        let mut state = self.shared.lock();
        let found = find(&mut state.window, &self.shared.tickets);
        if found.is_err() {
            wait(&mut self.waits, state, waker);
        } else if self.waits.is_some() {
            leave(&mut self.waits, state);
        }
        found
    }

    /// Counts a request that was not reserved, if it still fits into the window.
    pub(super) fn take_late(&self) {
        let Shared { tickets, .. } = &*self.shared;
        let _used = self.shared.lock().window.take(tickets, Instant::now);
    }

    /// Gives back what is reserved, and waits no longer.
    pub(super) fn give_back(&mut self) {
        if self.waits.is_some() {
            leave(&mut self.waits, self.shared.lock());
        }
        if let Some(taken) = self.taken.take() {
            let mut state = self.shared.lock();
            state.window.give_back(&self.shared.tickets, &taken);
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

impl Drop for Share {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Waits with this waker from now on.
#[cold]
fn wait(waits: &mut Option<usize>, mut state: MutexGuard<'_, State>, waker: &Waker) {
    let outdated = match waits.map(|waits| &mut state.waiting[waits]) {
        Some(known) if known.will_wake(waker) => None,
        Some(known) => Some(std::mem::replace(known, waker.clone())),
        None => {
            *waits = Some(state.waiting.insert(waker.clone()));
            None
        }
    };
    drop(state);
    drop(outdated);
}

/// Drops the waker without the lock.
#[cold]
fn leave(waits: &mut Option<usize>, mut state: MutexGuard<'_, State>) {
    let waker = waits.take().map(|waits| state.waiting.remove(waits));
    drop(state);
    drop(waker);
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Two threads that want more than there is: across the end of a batch, and of the period.
    #[test]
    fn the_rate_is_given_out_once() {
        loom::model(|| {
            // Batches of two.
            let mut share = Share::new(Rate::new(128 + 1, FOR_LONG));
            share.shared.lock().window.use_up_but(3);
            let mut other = share.again();
            let take = |share: &mut Share| {
                let mut taken = 0;
                for _ in 0..2 {
                    let found = share.take_ticket().ok_or(());
                    taken += usize::from(found.or_else(|()| share.take(Waker::noop())).is_ok());
                }
                taken
            };
            let thread = thread::spawn(move || take(&mut other));
            let mine = take(&mut share);
            assert_eq!(mine + thread.join().unwrap(), 3);
        });
    }

    /// One gives its request back while another one finds nothing: it gets it, or is woken.
    #[test]
    fn what_is_given_back_is_not_lost() {
        loom::model(|| {
            let mut share = Share::new(Rate::new(128 + 1, FOR_LONG));
            share.shared.lock().window.use_up_but(2);
            share.taken = share
                .take_ticket()
                .or_else(|| share.take(Waker::noop()).ok());
            let mut other = share.again();
            let last = other
                .take_ticket()
                .or_else(|| other.take(Waker::noop()).ok());
            assert!(share.taken.is_some() && last.is_some());
            let woken = Arc::new(Woken::default());
            let waker = Waker::from(Arc::clone(&woken));
            let thread = thread::spawn(move || {
                let taken = other.take_ticket();
                let taken = taken.or_else(|| other.take(&waker).ok()).is_some();
                // Not given back, nor does it wait no longer: that would wake others.
                std::mem::forget(other);
                taken
            });
            share.give_back();
            let theirs = thread.join().unwrap();
            assert!(theirs || woken.0.load(Ordering::Relaxed));
            let left = share
                .take_ticket()
                .or_else(|| share.take(Waker::noop()).ok());
            assert!(theirs != left.is_some(), "one of the two, and once");
        });
    }
}
