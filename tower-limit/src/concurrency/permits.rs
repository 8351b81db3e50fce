//! Permits, and who waits for one.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::counted::{self, Counted, Release};
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
        Self::Own(Counted::new(permits, Pool::new(None)))
    }

    pub(crate) fn wait(&self) -> Wait {
        match self {
            Self::Own(pool) => Wait::new(pool.clone()),
            Self::Tokio(semaphore) => {
                let pool = Counted::new(usize::MAX, Pool::new(Some(Arc::clone(semaphore))));
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
    /// While it waits.
    id: Option<u64>,
    /// While it waits for the semaphore of somebody else.
    acquire: Option<Acquire>,
}

type Acquire = Pin<Box<dyn Future<Output = OwnedSemaphorePermit> + Send + Sync>>;

impl Wait {
    fn new(pool: Counted<Pool>) -> Self {
        Self {
            pool,
            id: None,
            acquire: None,
        }
    }

    #[inline]
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Permit> {
        if self.id.is_none()
            && let Some(permit) = self.pool.try_take()
        {
            return Poll::Ready(permit);
        }
        match &self.pool.semaphore {
            None => poll_take(&self.pool, &mut self.id, cx),
            Some(semaphore) => poll_acquire(semaphore, &mut self.acquire, cx).map(|permit| {
                // Kept as one of ours.
                permit.forget();
                self.pool
                    .take_any()
                    .expect("there are as many as one likes")
            }),
        }
    }

    /// The same permits, for another turn.
    pub(crate) fn again(&self) -> Self {
        Self::new(self.pool.clone())
    }

    fn available(&self) -> usize {
        match &self.pool.semaphore {
            None => self.pool.free(),
            Some(semaphore) => semaphore.available_permits(),
        }
    }
}

#[cold]
fn poll_acquire(
    semaphore: &Arc<Semaphore>,
    acquire: &mut Option<Acquire>,
    cx: &mut Context<'_>,
) -> Poll<OwnedSemaphorePermit> {
    let waiting = match acquire {
        Some(waiting) => waiting,
        None => {
            if let Ok(permit) = Arc::clone(semaphore).try_acquire_owned() {
                return Poll::Ready(permit);
            }
            acquire.insert(Box::pin(acquire_or_never(Arc::clone(semaphore))))
        }
    };
    let permit = ready!(waiting.as_mut().poll(cx));
    *acquire = None;
    Poll::Ready(permit)
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
        if let Some(id) = self.id {
            leave(&self.pool, id);
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

/// Who waits for a permit. While there is anybody, whoever gives one back [looks](Counted::look) here.
#[derive(Debug)]
pub(crate) struct Pool {
    /// If it is not our own permits that are given out, but its.
    semaphore: Option<Arc<Semaphore>>,
    waiters: Mutex<Waiters>,
}

#[derive(Debug)]
struct Waiters {
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

impl Waiters {
    /// Tells the first who does not know yet that a permit is free.
    ///
    /// The permit is not kept for him: he may have lost interest, as a handle below a load shedder has that refused its
    /// request. Then whoever asks next takes it.
    fn tell_next(&mut self) -> Option<Waker> {
        let waiter = self.waiting.values_mut().find(|waiter| !waiter.told)?;
        waiter.told = true;
        Some(waiter.waker.clone())
    }

    /// Whether there are permits that nobody has been told of.
    fn unclaimed(&self, free: usize) -> bool {
        let told = self.waiting.values().take_while(|waiter| waiter.told);
        free > told.count()
    }

    fn settle(&self, pool: &Counted<Pool>) {
        if self.waiting.is_empty() {
            pool.look_no_more();
        }
    }
}

impl Pool {
    fn new(semaphore: Option<Arc<Semaphore>>) -> Self {
        let waiters = Mutex::new(Waiters {
            waiting: BTreeMap::new(),
            next_id: 0,
        });
        Self { semaphore, waiters }
    }

    fn lock(&self) -> MutexGuard<'_, Waiters> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `id`: of the waiter, if it has been told to wait before.
#[cold]
fn poll_take(pool: &Counted<Pool>, id: &mut Option<u64>, cx: &Context<'_>) -> Poll<Permit> {
    let mut waiters = pool.lock();
    // From here on whoever gives a permit back comes by; what was given back before is found below.
    pool.look();
    let first_or_told = match id {
        Some(id) => waiters.waiting[id].told || waiters.waiting.keys().next() == Some(id),
        // Nobody is overtaken who does not know yet that he could have had it.
        None => waiters.waiting.values().all(|waiter| waiter.told),
    };
    if first_or_told && let Some(permit) = pool.take_any() {
        let left = id.take().and_then(|id| waiters.waiting.remove(&id));
        waiters.settle(pool);
        drop(waiters);
        drop(left);
        return Poll::Ready(permit);
    }
    let waiters = &mut *waiters;
    let id = *id.get_or_insert_with(|| {
        waiters.next_id += 1;
        waiters.next_id
    });
    waiters
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

/// The waiter waits no more.
fn leave(pool: &Counted<Pool>, id: u64) {
    let mut waiters = pool.lock();
    let left = waiters.waiting.remove(&id);
    // What he was told of is for the next.
    let told = left.as_ref().is_some_and(|left| left.told);
    let next = if told && waiters.unclaimed(pool.free()) {
        waiters.tell_next()
    } else {
        None
    };
    waiters.settle(pool);
    drop(waiters);
    drop(left);
    wake(next);
}

impl Release for Pool {
    fn released(this: &Counted<Self>) {
        match &this.semaphore {
            Some(semaphore) => semaphore.add_permits(1),
            None => {
                let next = this.lock().tell_next();
                wake(next);
            }
        }
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
