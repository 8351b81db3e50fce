//! Permits, and handles that wait for one.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::counted::{self, Counted, Release};
use super::pool::{Pool, SharedSource, State};
use super::watch;
use crate::sync::MutexGuard;

/// Where permits come from.
#[derive(Debug, Clone)]
pub(crate) enum Permits {
    Own(Counted<Pool>),
    From(SharedSource),
}

/// A permit, which is returned when it is dropped.
pub(crate) type Permit = counted::Permit<Pool>;

impl Permits {
    pub(crate) fn new(permits: usize) -> Self {
        Self::Own(Counted::new(permits, Pool::new(None, Arc::default())))
    }

    pub(crate) fn wait(&self) -> PermitWaiter {
        match self {
            Self::Own(pool) => PermitWaiter::new(pool.clone()),
            Self::From(source) => {
                let wait_queue = Arc::clone(&source.0).wait_queue();
                let pool = Pool::new(Some(source.clone()), wait_queue);
                let pool = Counted::new(usize::MAX, pool);
                // Each returned permit must go back to the source.
                pool.set_notify();
                PermitWaiter::new(pool)
            }
        }
    }
}

/// What a handle needs to take permits and to wait for them. Dropping it leaves the wait queue.
pub(crate) struct PermitWaiter {
    pool: Counted<Pool>,
    /// The handle's entry in the wait queue, while it waits.
    id: Option<usize>,
}

impl PermitWaiter {
    const fn new(pool: Counted<Pool>) -> Self {
        Self { pool, id: None }
    }

    /// Takes a permit, or waits for one.
    #[inline]
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Permit> {
        if self.id.is_none()
            && let Some(permit) = self.pool.try_take()
        {
            return Poll::Ready(permit);
        }
        poll_queue(&self.pool, &mut self.id, cx, Counted::take)
    }

    /// Takes a permit, without waiting. A handle that waits leaves the queue if it gets one.
    #[inline]
    pub(crate) fn try_take(&mut self) -> Option<Permit> {
        if self.id.is_none()
            && let Some(permit) = self.pool.try_take()
        {
            return Some(permit);
        }
        if !self.is_free() {
            return None;
        }
        take_queued(&self.pool, &mut self.id)
    }

    /// Returns whether a permit is free.
    pub(crate) fn is_free(&self) -> bool {
        self.pool.available() > 0
    }

    /// Waits until a permit is free, without taking it.
    pub(crate) fn poll_free(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        poll_queue(&self.pool, &mut self.id, cx, |pool| {
            (pool.available() > 0).then_some(())
        })
    }

    /// Leaves the wait queue.
    pub(crate) fn leave(&mut self) {
        if self.id.is_some() && leave(&self.pool, &mut self.id, self.pool.wait_queue.lock()) {
            // Passes the notification on to the next waiter.
            self.pool.notify();
        }
    }

    /// Takes a permit, beyond the limit if none is free: then the next returned permit is removed.
    pub(crate) fn take_or_overcommit(&self) -> Permit {
        let mut state = self.pool.wait_queue.lock();
        self.pool.take().unwrap_or_else(|| {
            state.overcommitted += 1;
            self.pool.set_notify();
            self.pool.overcommit_one()
        })
    }

    /// Creates the waiter of another handle for the same permits.
    pub(crate) fn for_clone(&self) -> Self {
        Self::new(self.pool.clone())
    }
}

impl Drop for PermitWaiter {
    fn drop(&mut self) {
        self.leave();
    }
}

impl fmt::Debug for PermitWaiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PermitWaiter")
            .field("available", &self.pool.available())
            .finish_non_exhaustive()
    }
}

impl Counted<Pool> {
    pub(super) fn available(&self) -> usize {
        match &self.source {
            None => self.free(),
            Some(source) => source.0.available(),
        }
    }

    fn take(&self) -> Option<Permit> {
        if let Some(source) = &self.source
            && !source.0.take()
        {
            return None;
        }
        // A permit of the source is represented by one of the pool from now on.
        self.take_any()
    }

    /// Creates a permit beyond the limit.
    fn overcommit_one(&self) -> Permit {
        match &self.source {
            None => self.overcommit(),
            // Such a pool has `MAX_PERMITS` of its own: only the source limits.
            Some(_) => self
                .take_any()
                .expect("the pool's own permits never run out"),
        }
    }

    /// Ensures that a listener waits for the source's next permit. `Ready` if one is free now.
    fn listen(&self) -> Poll<()> {
        match &self.source {
            Some(source) => Arc::clone(&source.0).listen(self),
            None => Poll::Pending,
        }
    }

    /// Notifies the next waiter if a permit is free.
    pub(super) fn notify(&self) {
        let mut state = self.wait_queue.lock();
        if self.available() == 0 {
            // Another handle has taken the permit, and notifies the next waiter when it returns it. Permits of a source may
            // also be returned by others, so a listener is needed.
            drop(state);
            let _ = self.listen();
            return;
        }
        let next = state.queue.notify();
        // The notified waiter may never poll again.
        let others = state.queue.has_unnotified() || state.queue.defers();
        let watch = others && !std::mem::replace(&mut state.watched, true);
        let runtime = state.queue.next_runtime().filter(|_| watch);
        drop(state);
        // Woken without the lock: wakers may run any code.
        if let Some(waker) = next {
            waker.wake();
        }
        if watch {
            watch::spawn(self.clone(), runtime);
        }
    }
}

/// Returns what `find` finds, or waits. `id` is the waiter's, if it has waited before.
#[cold]
fn poll_queue<T>(
    pool: &Counted<Pool>,
    id: &mut Option<usize>,
    cx: &Context<'_>,
    find: impl Fn(&Counted<Pool>) -> Option<T>,
) -> Poll<T> {
    loop {
        let mut state = pool.wait_queue.lock();
        // From here on each returned permit visits this queue; permits that were returned before are found below.
        pool.set_notify();
        let defers = id.is_none() && state.queue.defers();
        if !defers && let Some(found) = find(pool) {
            let notified = leave(pool, id, state);
            // It may have found another permit than the one it was notified of, so the notification is passed on. With a
            // source, another waiter has to listen for the next permit.
            if notified || pool.source.is_some() {
                pool.notify();
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
            // Lets the overtaken waiter poll first.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if pool.listen().is_pending() {
            return Poll::Pending;
        }
    }
}

/// Takes a permit while there are waiters, or from a source. Like any newcomer, it yields once to an overtaken waiter.
#[cold]
fn take_queued(pool: &Counted<Pool>, id: &mut Option<usize>) -> Option<Permit> {
    let mut state = pool.wait_queue.lock();
    if id.is_none() && state.queue.defers() {
        state.queue.forget_overtaken();
        return None;
    }
    let permit = pool.take()?;
    let notified = leave(pool, id, state);
    if notified || pool.source.is_some() {
        pool.notify();
    }
    Some(permit)
}

/// Removes the waiter, if there is one, and what is not needed without waiters. Returns whether the waiter had been notified.
pub(super) fn leave(
    pool: &Counted<Pool>,
    id: &mut Option<usize>,
    mut state: MutexGuard<'_, State>,
) -> bool {
    let left = id.take().map(|id| state.queue.leave(id));
    let listener = if state.queue.is_empty() {
        if pool.source.is_none() && state.overcommitted == 0 {
            pool.clear_notify();
        }
        state.listener.take()
    } else {
        None
    };
    drop(state);
    drop(listener);
    left.is_some_and(|(notified, _waker)| notified)
}

impl Release for Pool {
    fn released(this: &Counted<Self>) {
        let mut state = this.wait_queue.lock();
        if state.overcommitted > 0 {
            if this.source.is_some() || this.forget_free() {
                state.overcommitted -= 1;
                leave(this, &mut None, state);
            }
            // Otherwise another handle has taken it already, and it is removed when that returns it.
            return;
        }
        // If there is a listener, it gets the permit and notifies.
        let has_listener = state.listener.is_some();
        drop(state);
        if let Some(source) = &this.source {
            source.0.put_back();
        }
        if !has_listener {
            this.notify();
        }
    }
}
