//! The permits of a limit, and the queue of the handles that wait for one.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

#[cfg(doc)]
use super::counted::Counted;
use super::queue::Queue;
use crate::sync::{Mutex, MutexGuard};

/// The permits, and the queue of those that wait for one.
///
/// While there are waiters or overcommitted permits, [`set_notify`](Counted::set_notify) makes each returned permit visit the
/// wait queue.
#[derive(Debug)]
pub(crate) struct Pool {
    /// The source of the permits, if they are not the pool's own.
    pub(super) semaphore: Option<Arc<Semaphore>>,
    pub(super) wait_queue: Arc<WaitQueue>,
}

/// Where handles wait. There is one for each set of permits; several pools may share it.
#[derive(Debug, Default)]
pub(super) struct WaitQueue {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) queue: Queue,
    /// The number of permits that were given out beyond the limit.
    pub(super) overcommitted: usize,
    /// Is notified of free permits of the semaphore.
    pub(super) listener: Option<Listener>,
    /// Whether a [`watch`](super::watch) task is running.
    pub(super) watched: bool,
}

impl WaitQueue {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    pub(super) const fn new(semaphore: Option<Arc<Semaphore>>, wait_queue: Arc<WaitQueue>) -> Self {
        Self {
            semaphore,
            wait_queue,
        }
    }

    pub(super) const fn wait_queue(&self) -> &Arc<WaitQueue> {
        &self.wait_queue
    }
}

/// Waits in a semaphore. Dropping it returns a permit that it has been assigned.
pub(super) struct Listener {
    _acquire: Pin<Box<dyn Future<Output = OwnedSemaphorePermit> + Send + Sync>>,
}

impl Listener {
    pub(super) fn new(
        acquire: Pin<Box<dyn Future<Output = OwnedSemaphorePermit> + Send + Sync>>,
    ) -> Self {
        Self { _acquire: acquire }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}
