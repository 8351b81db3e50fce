//! The permits of a limit, and the queue of the handles that wait for one.

use std::fmt;
use std::future::Future;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower_readiness::ignore_poison;

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
    pub(super) source: Option<SharedSource>,
    pub(super) wait_queue: Arc<WaitQueue>,
}

/// Where the permits come from if they are not the pool's own: a semaphore.
///
/// A trait object, so that programs in which no limit has a semaphore do not contain the code for it.
pub(super) trait Source: fmt::Debug + Send + Sync {
    /// Returns the number of free permits.
    fn available(&self) -> usize;

    /// Takes a permit. Returns `false` if none is free.
    fn take(&self) -> bool;

    /// Returns a permit that was taken.
    fn put_back(&self);

    /// Returns the wait queue of this source, which all pools with this source share.
    fn wait_queue(self: Arc<Self>) -> Arc<WaitQueue>;

    /// Ensures that a listener waits for the next free permit. `Ready` if one is free now.
    fn listen(self: Arc<Self>, pool: &Counted<Pool>) -> Poll<()>;
}

/// A [`Source`] that several pools may share.
#[derive(Debug, Clone)]
pub(crate) struct SharedSource(pub(super) Arc<dyn Source>);

impl SharedSource {
    pub(crate) const fn new(semaphore: Arc<Semaphore>) -> Self {
        Self(semaphore)
    }
}

// A panic leaves no semaphore inconsistent. Whether tokio's has these traits depends on its features.
impl UnwindSafe for SharedSource {}
impl RefUnwindSafe for SharedSource {}

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
    /// Is notified of free permits of the source.
    pub(super) listener: Option<Listener>,
    /// Whether a [`watch`](super::watch) task is running.
    pub(super) watched: bool,
}

impl WaitQueue {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        ignore_poison(self.state.lock())
    }
}

impl Pool {
    pub(super) const fn new(source: Option<SharedSource>, wait_queue: Arc<WaitQueue>) -> Self {
        Self { source, wait_queue }
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
