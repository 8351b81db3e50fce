//! Notification of free permits of a semaphore that others may use as well.
//!
//! A semaphore assigns its permits to its waiters in order, and a waiter that never polls again keeps its permit from all
//! others. So handles do not wait in the semaphore. They wait in a [`WaitQueue`] of this crate, one for each semaphore, and a
//! [`Listener`] of that queue waits in the semaphore. As soon as the listener is assigned a permit, it returns the permit and
//! the queue notifies its first waiter.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, LazyLock, Mutex, Weak};
use std::task::{Context, Poll, Wake, Waker};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::task::unconstrained;
use tower_readiness::ignore_poison;

use super::counted::Counted;
use super::pool::{Listener, Pool, Source, State, WaitQueue};

impl Source for Semaphore {
    fn available(&self) -> usize {
        if self.is_closed() {
            // It gives out no permits, even if it has some left.
            0
        } else {
            self.available_permits()
        }
    }

    fn take(&self) -> bool {
        self.try_acquire().map(SemaphorePermit::forget).is_ok()
    }

    fn put_back(&self) {
        self.add_permits(1);
    }

    fn wait_queue(self: Arc<Self>) -> Arc<WaitQueue> {
        wait_queue(&self)
    }

    fn listen(self: Arc<Self>, pool: &Counted<Pool>) -> Poll<()> {
        listen(&self, pool)
    }
}

/// Starts a listener in `semaphore`, unless there is one. `Ready` if a permit is free now.
fn listen(semaphore: &Arc<Semaphore>, pool: &Counted<Pool>) -> Poll<()> {
    let wait_queue = pool.wait_queue();
    if !needs_listener(&wait_queue.lock()) {
        return Poll::Pending;
    }
    let listener_waker = Arc::new(ListenerWaker {
        pool: pool.clone(),
        woken: Mutex::new(false),
    });
    let waker = Waker::from(Arc::clone(&listener_waker));
    // Unconstrained: the result must not depend on the cooperative budget of the task that happens to run this.
    let mut acquire = Box::pin(unconstrained(acquire_or_never(Arc::clone(semaphore))));
    if let Poll::Ready(permit) = acquire.as_mut().poll(&mut Context::from_waker(&waker)) {
        drop(permit);
        return Poll::Ready(());
    }
    let listener = Listener::new(acquire);
    let mut state = wait_queue.lock();
    let woken = *listener_waker.lock();
    // If it has been woken meanwhile, it is dropped, which returns the permit.
    let unused = if !woken && needs_listener(&state) {
        state.listener.replace(listener)
    } else {
        Some(listener)
    };
    drop(state);
    drop(unused);
    if woken {
        Poll::Ready(())
    } else {
        Poll::Pending
    }
}

/// Returns whether there are waiters and no listener.
fn needs_listener(state: &State) -> bool {
    state.listener.is_none() && !state.queue.is_empty()
}

/// Acquires a permit, or stays pending forever once the semaphore is closed.
async fn acquire_or_never(semaphore: Arc<Semaphore>) -> OwnedSemaphorePermit {
    match semaphore.acquire_owned().await {
        Ok(permit) => permit,
        Err(_closed) => std::future::pending().await,
    }
}

/// The waker of a listener.
struct ListenerWaker {
    /// A reference cycle (pool, wait queue, listener, waker) that ends when the last waiter leaves the queue.
    pool: Counted<Pool>,
    /// Whether the waker was woken. Written and read with the wait queue locked.
    woken: Mutex<bool>,
}

impl ListenerWaker {
    fn lock(&self) -> std::sync::MutexGuard<'_, bool> {
        ignore_poison(self.woken.lock())
    }
}

impl Wake for ListenerWaker {
    fn wake(self: Arc<Self>) {
        let mut state = self.pool.wait_queue().lock();
        *self.lock() = true;
        let listener = state.listener.take();
        drop(state);
        // Returns the permit to the semaphore, for the first that polls.
        drop(listener);
        self.pool.notify();
    }
}

/// Returns the wait queue of `semaphore`: the same for all callers, while any of them holds it.
fn wait_queue(semaphore: &Arc<Semaphore>) -> Arc<WaitQueue> {
    let mut wait_queues = ignore_poison(WAIT_QUEUES.lock());
    if wait_queues.known.len() >= wait_queues.sweep_at {
        wait_queues
            .known
            .retain(|_, known| known.wait_queue.strong_count() > 0);
        wait_queues.sweep_at = 2 * wait_queues.known.len().max(8);
    }
    let address = Arc::as_ptr(semaphore).addr();
    let known = wait_queues.known.get(&address);
    if let Some(wait_queue) = known.and_then(|known| known.wait_queue.upgrade()) {
        return wait_queue;
    }
    let wait_queue = Arc::<WaitQueue>::default();
    let known = Known {
        _semaphore: Arc::downgrade(semaphore),
        wait_queue: Arc::downgrade(&wait_queue),
    };
    wait_queues.known.insert(address, known);
    wait_queue
}

/// The wait queues, by the address of their semaphore.
static WAIT_QUEUES: LazyLock<Mutex<WaitQueues>> = LazyLock::new(Mutex::default);

#[derive(Default)]
struct WaitQueues {
    known: HashMap<usize, Known>,
    /// The number of entries at which the unused ones are removed.
    sweep_at: usize,
}

struct Known {
    /// Keeps the allocation, so that no other semaphore gets this address.
    _semaphore: Weak<Semaphore>,
    wait_queue: Weak<WaitQueue>,
}
