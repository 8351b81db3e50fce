//! Permits, and who waits for one.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Where permits come from.
#[derive(Debug, Clone)]
pub(crate) enum Permits {
    Own(Arc<Pool>),
    Tokio(Arc<Semaphore>),
}

impl Permits {
    pub(crate) fn new(permits: usize) -> Self {
        Self::Own(Arc::new(Pool {
            state: Mutex::new(State {
                free: permits,
                waiting: BTreeMap::new(),
                next_id: 0,
            }),
        }))
    }

    pub(crate) fn wait(&self) -> Wait {
        match self {
            Self::Own(pool) => Wait::Own {
                pool: Arc::clone(pool),
                id: None,
            },
            Self::Tokio(semaphore) => Wait::Tokio {
                semaphore: Arc::clone(semaphore),
                acquire: None,
            },
        }
    }
}

/// Given back when it is dropped.
#[derive(Debug)]
pub(crate) enum Permit {
    Own(#[expect(dead_code, reason = "given back by its drop")] Guard),
    Tokio(#[expect(dead_code, reason = "given back by its drop")] OwnedSemaphorePermit),
}

/// One handle's turn at the permits. Dropping it leaves the queue.
pub(crate) enum Wait {
    Own {
        pool: Arc<Pool>,
        id: Option<u64>,
    },
    Tokio {
        semaphore: Arc<Semaphore>,
        acquire: Option<Acquire>,
    },
}

type Acquire = Pin<Box<dyn Future<Output = OwnedSemaphorePermit> + Send + Sync>>;

impl Wait {
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Permit> {
        match self {
            Self::Own { pool, id } => pool.poll_take(id, cx).map(Permit::Own),
            Self::Tokio { semaphore, acquire } => {
                let waiting = match acquire {
                    Some(waiting) => waiting,
                    None => {
                        if let Ok(permit) = Arc::clone(semaphore).try_acquire_owned() {
                            return Poll::Ready(Permit::Tokio(permit));
                        }
                        acquire.insert(Box::pin(acquire_or_never(Arc::clone(semaphore))))
                    }
                };
                let permit = ready!(waiting.as_mut().poll(cx));
                *acquire = None;
                Poll::Ready(Permit::Tokio(permit))
            }
        }
    }

    /// The permits waited for, for another turn.
    pub(crate) fn permits(&self) -> Permits {
        match self {
            Self::Own { pool, .. } => Permits::Own(Arc::clone(pool)),
            Self::Tokio { semaphore, .. } => Permits::Tokio(Arc::clone(semaphore)),
        }
    }

    pub(crate) fn available(&self) -> usize {
        match self {
            Self::Own { pool, .. } => pool.lock().free,
            Self::Tokio { semaphore, .. } => semaphore.available_permits(),
        }
    }
}

/// A semaphore that its owner has closed gives no permits any more.
async fn acquire_or_never(semaphore: Arc<Semaphore>) -> OwnedSemaphorePermit {
    match semaphore.acquire_owned().await {
        Ok(permit) => permit,
        Err(_closed) => std::future::pending().await,
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Self::Own { pool, id: Some(id) } = self {
            pool.leave(*id);
        }
    }
}

impl fmt::Debug for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait")
            .field("available", &self.available())
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(crate) struct Pool {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    free: usize,
    /// In the order in which they came.
    waiting: BTreeMap<u64, Waiter>,
    next_id: u64,
}

#[derive(Debug)]
struct Waiter {
    waker: Waker,
    /// Has been told that a permit is free, and has not come for it yet.
    told: bool,
}

impl State {
    /// Tells the first who does not know yet that a permit is free.
    ///
    /// The permit is not kept for him: he may have lost interest, as a handle below a load shedder has that refused its
    /// request. Then whoever asks next takes it.
    fn tell_next(&mut self) -> Option<Waker> {
        let waiter = self.waiting.values_mut().find(|waiter| !waiter.told)?;
        waiter.told = true;
        Some(waiter.waker.clone())
    }

    /// Permits that nobody has been told of.
    fn unclaimed(&self) -> bool {
        self.free
            > self
                .waiting
                .values()
                .take_while(|waiter| waiter.told)
                .count()
    }
}

impl Pool {
    /// `id`: of the waiter, if it has been told to wait before.
    fn poll_take(self: &Arc<Self>, id: &mut Option<u64>, cx: &Context<'_>) -> Poll<Guard> {
        let mut state = self.lock();
        let first_or_told = match id {
            Some(id) => state.waiting[id].told || state.waiting.keys().next() == Some(id),
            // Nobody is overtaken who does not know yet that he could have had it.
            None => state.waiting.values().all(|waiter| waiter.told),
        };
        if state.free > 0 && first_or_told {
            state.free -= 1;
            let left = id.take().and_then(|id| state.waiting.remove(&id));
            drop(state);
            drop(left);
            return Poll::Ready(Guard {
                pool: Arc::clone(self),
            });
        }
        let state = &mut *state;
        let id = *id.get_or_insert_with(|| {
            state.next_id += 1;
            state.next_id
        });
        state
            .waiting
            .entry(id)
            .and_modify(|waiter| {
                waiter.waker.clone_from(cx.waker());
                waiter.told = false;
            })
            .or_insert_with(|| Waiter {
                waker: cx.waker().clone(),
                told: false,
            });
        Poll::Pending
    }

    fn leave(&self, id: u64) {
        let mut state = self.lock();
        let left = state.waiting.remove(&id);
        // What he was told of is for the next.
        let next = if left.as_ref().is_some_and(|left| left.told) && state.unclaimed() {
            state.tell_next()
        } else {
            None
        };
        drop(state);
        drop(left);
        wake(next);
    }

    fn give_back(&self) {
        let mut state = self.lock();
        state.free += 1;
        let next = state.tell_next();
        drop(state);
        wake(next);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A permit of a [`Pool`].
#[derive(Debug)]
pub(crate) struct Guard {
    pool: Arc<Pool>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.pool.give_back();
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
