//! Permits, and handles that wait for one.

use std::fmt;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::Semaphore;

use super::counted::{self, Counted, Release};
use super::queue::Queue;
use super::semaphore::{self, Scout};
use super::watch;
use crate::sync::{Mutex, MutexGuard};

/// Where permits come from.
#[derive(Debug, Clone)]
pub(crate) enum Permits {
    Own(Counted<Pool>),
    Tokio(Arc<Semaphore>),
}

/// Given back when it is dropped.
pub(crate) type Permit = counted::Permit<Pool>;

impl Permits {
    pub(crate) fn new(permits: usize) -> Self {
        Self::Own(Counted::new(permits, Pool::new(None, Arc::default())))
    }

    pub(crate) fn wait(&self) -> Wait {
        match self {
            Self::Own(pool) => Wait::new(pool.clone()),
            Self::Tokio(semaphore) => {
                let line = semaphore::line(semaphore);
                let pool = Pool::new(Some(Arc::clone(semaphore)), line);
                let pool = Counted::new(usize::MAX, pool);
                // Each permit that is given back is the semaphore's.
                pool.look();
                Wait::new(pool)
            }
        }
    }
}

/// One handle's turn at the permits. Dropping it leaves the queue.
pub(crate) struct Wait {
    pool: Counted<Pool>,
    /// See [`Counted::try_take`].
    guess: u64,
    /// While it waits.
    id: Option<usize>,
}

impl Wait {
    const fn new(pool: Counted<Pool>) -> Self {
        Self {
            pool,
            guess: 0,
            id: None,
        }
    }

    /// Takes a permit, or waits for one.
    #[inline]
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Permit> {
        if self.id.is_none()
            && let Some(permit) = self.pool.try_take(&mut self.guess)
        {
            return Poll::Ready(permit);
        }
        poll_line(&self.pool, &mut self.id, cx, Counted::take)
    }

    /// Whether there is a permit, without taking it. Otherwise waits until there is one.
    pub(crate) fn poll_free(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        poll_line(&self.pool, &mut self.id, cx, |pool| {
            (pool.available() > 0).then_some(())
        })
    }

    /// Waits no longer.
    pub(crate) fn leave(&mut self) {
        if self.id.is_some() && leave(&self.pool, &mut self.id, self.pool.line.lock()) {
            // What it was told of is for the next.
            self.pool.tell();
        }
    }

    /// A permit, even if there is none: then one that is given back later is kept for it.
    pub(crate) fn take_or_owe(&self) -> Permit {
        let mut state = self.pool.line.lock();
        self.pool.take().unwrap_or_else(|| {
            state.owed += 1;
            self.pool.look();
            self.pool.take_beyond()
        })
    }

    /// The same permits, for another turn.
    pub(crate) fn again(&self) -> Self {
        Self::new(self.pool.clone())
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.leave();
    }
}

impl fmt::Debug for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait")
            .field("available", &self.pool.available())
            .finish_non_exhaustive()
    }
}

/// The permits, and the line of those who wait for one.
///
/// While somebody waits or a permit is owed, whoever gives one back [looks](Counted::look) at the line.
#[derive(Debug)]
pub(crate) struct Pool {
    /// If it is not our own permits that are given out, but its.
    semaphore: Option<Arc<Semaphore>>,
    line: Arc<Line>,
}

/// Where handles wait. One for each set of permits, however many pools share it.
#[derive(Debug, Default)]
pub(super) struct Line {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) queue: Queue,
    /// Permits that were given out beyond the limit.
    owed: usize,
    /// Hears of the permits of a semaphore.
    pub(super) scout: Option<Scout>,
    /// A [`watch`] looks after the waiters that have been told.
    pub(super) watched: bool,
}

impl Line {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    const fn new(semaphore: Option<Arc<Semaphore>>, line: Arc<Line>) -> Self {
        Self { semaphore, line }
    }

    pub(super) const fn line(&self) -> &Arc<Line> {
        &self.line
    }
}

impl Counted<Pool> {
    pub(super) fn available(&self) -> usize {
        match &self.semaphore {
            None => self.free(),
            // A closed semaphore gives out no permits, whatever it has left.
            Some(semaphore) if semaphore.is_closed() => 0,
            Some(semaphore) => semaphore.available_permits(),
        }
    }

    fn take(&self) -> Option<Permit> {
        if let Some(semaphore) = &self.semaphore {
            // Kept as one of ours.
            semaphore.try_acquire().ok()?.forget();
        }
        self.take_any()
    }

    /// More than there are.
    fn take_beyond(&self) -> Permit {
        match &self.semaphore {
            None => self.take_unfree(),
            // Of our own there is no limit beside that of the semaphore.
            Some(_) => self.take_any().expect("there is always one"),
        }
    }

    /// Sees to it that somebody hears of the semaphore's next permit. `Ready` if there is one now.
    fn scout(&self) -> Poll<()> {
        match &self.semaphore {
            Some(semaphore) => semaphore::scout(semaphore, self),
            None => Poll::Pending,
        }
    }

    /// Tells the next waiter of a permit that is free now.
    pub(super) fn tell(&self) {
        let mut state = self.line.lock();
        if self.available() == 0 {
            // Another has taken it, and tells the next when it is given back. A semaphore may be told by others.
            drop(state);
            let _ = self.scout();
            return;
        }
        let next = state.queue.tell();
        // It may never come.
        let others = state.queue.has_untold() || state.queue.defers();
        let watch = others && !std::mem::replace(&mut state.watched, true);
        let runtime = state.queue.next_runtime().filter(|_| watch);
        drop(state);
        // Wakers may run any code.
        if let Some(waker) = next {
            waker.wake();
        }
        if watch {
            watch::spawn(self.clone(), runtime);
        }
    }
}

/// Yields what `find` finds, or waits. `id`: of the waiter, if it has waited before.
#[cold]
fn poll_line<T>(
    pool: &Counted<Pool>,
    id: &mut Option<usize>,
    cx: &Context<'_>,
    find: impl Fn(&Counted<Pool>) -> Option<T>,
) -> Poll<T> {
    loop {
        let mut state = pool.line.lock();
        // From here on whoever gives a permit back comes by; what was given back before is found below.
        pool.look();
        let defers = id.is_none() && state.queue.defers();
        if !defers && let Some(found) = find(pool) {
            let told = leave(pool, id, state);
            // It may not have taken what it was told of. Of a semaphore's next permit somebody else must hear.
            if told || pool.semaphore.is_some() {
                pool.tell();
            }
            return Poll::Ready(found);
        }
        let outdated = state.queue.wait(id, cx.waker());
        if defers {
            state.queue.forget_overtaken();
        }
        drop(state);
        drop(outdated);
        if defers {
            // The others have their turn first.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if pool.scout().is_pending() {
            return Poll::Pending;
        }
    }
}

/// The waiter waits no more. Returns whether it had been told of a permit.
fn leave(pool: &Counted<Pool>, id: &mut Option<usize>, mut state: MutexGuard<'_, State>) -> bool {
    let left = id.take().map(|id| state.queue.leave(id));
    let scout = if state.queue.is_empty() {
        if pool.semaphore.is_none() && state.owed == 0 {
            pool.look_no_more();
        }
        state.scout.take()
    } else {
        None
    };
    drop(state);
    drop(scout);
    left.is_some_and(|(told, _waker)| told)
}

impl Release for Pool {
    fn released(this: &Counted<Self>) {
        let mut state = this.line.lock();
        if state.owed > 0 {
            if this.semaphore.is_some() || this.swallow() {
                state.owed -= 1;
                leave(this, &mut None, state);
            }
            // Otherwise somebody else has taken it already, and it is kept when it comes back.
            return;
        }
        // The scout tells, if it gets the permit.
        let scouted = state.scout.is_some();
        drop(state);
        if let Some(semaphore) = &this.semaphore {
            semaphore.add_permits(1);
        }
        if !scouted {
            this.tell();
        }
    }
}
