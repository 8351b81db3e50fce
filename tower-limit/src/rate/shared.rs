//! What the handles of one limit share: the window, and who waits for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use slab::Slab;
use tokio::time::Instant;

use super::Rate;
use super::window::{Taken, Window};

/// One limit.
#[derive(Debug)]
pub(super) struct Shared {
    window: Window,
    /// Handles that wait for their timers. A request that is given back before wakes them all: any of them may be gone.
    waiting: Slab<Waker>,
}

/// One handle's part in the limit. Dropping it gives back what is reserved.
#[derive(Debug)]
pub(super) struct Share {
    shared: Arc<Mutex<Shared>>,
    /// What is reserved.
    pub(super) taken: Option<Taken>,
    /// Its place among those that wait.
    waits: Option<usize>,
}

impl Share {
    pub(super) fn new(rate: Rate) -> Self {
        let shared = Shared {
            window: Window::new(rate),
            waiting: Slab::new(),
        };
        Self::of(Arc::new(Mutex::new(shared)))
    }

    const fn of(shared: Arc<Mutex<Shared>>) -> Self {
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

    /// What `find` finds. Otherwise it says when it may, and `waker` is woken if it may earlier.
    #[inline]
    pub(super) fn find<R>(
        &mut self,
        waker: &Waker,
        find: impl Fn(&mut Window) -> Result<R, Instant>,
    ) -> Result<R, Instant> {
        let mut shared = lock(&self.shared);
        let found = find(&mut shared.window);
        if found.is_err() {
            wait(&mut self.waits, shared, waker);
        } else if self.waits.is_some() {
            leave(&mut self.waits, shared);
        }
        found
    }

    /// Counts a request that was not reserved, if it still fits into the window.
    pub(super) fn take_late(&self) {
        let _used = lock(&self.shared).window.take(Instant::now);
    }

    /// Gives back what is reserved, and waits no longer.
    pub(super) fn give_back(&mut self) {
        if self.waits.is_some() {
            leave(&mut self.waits, lock(&self.shared));
        }
        if let Some(taken) = self.taken.take() {
            let mut shared = lock(&self.shared);
            shared.window.give_back(&taken);
            let waiting: Vec<_> = shared
                .waiting
                .iter()
                .map(|(_, waker)| waker.clone())
                .collect();
            drop(shared);
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
fn wait(waits: &mut Option<usize>, mut shared: MutexGuard<'_, Shared>, waker: &Waker) {
    let outdated = match waits.map(|waits| &mut shared.waiting[waits]) {
        Some(known) if known.will_wake(waker) => None,
        Some(known) => Some(std::mem::replace(known, waker.clone())),
        None => {
            *waits = Some(shared.waiting.insert(waker.clone()));
            None
        }
    };
    drop(shared);
    drop(outdated);
}

/// Drops the waker without the lock.
#[cold]
fn leave(waits: &mut Option<usize>, mut shared: MutexGuard<'_, Shared>) {
    let waker = waits.take().map(|waits| shared.waiting.remove(waits));
    drop(shared);
    drop(waker);
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
