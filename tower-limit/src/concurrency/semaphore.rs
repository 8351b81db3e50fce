//! Hearing of the permits of a semaphore that others use as well.
//!
//! A semaphore hands its permits to those who wait in it, in order, and a waiter that never comes keeps its permit from
//! all others. So no handle waits there. Its handles wait in a [`Line`] of ours, one for each semaphore, and the line has
//! a [`Scout`] in the semaphore. As soon as the scout is given a permit, it gives it back and the line is told.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::unconstrained;

use super::counted::Counted;
use super::permits::{Line, Pool, State};

/// Waits in a semaphore. Dropping it gives back the permit that it may have got.
pub(super) struct Scout {
    _acquire: Pin<Box<dyn Future<Output = OwnedSemaphorePermit> + Send + Sync>>,
}

impl fmt::Debug for Scout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scout")
    }
}

/// Sends a scout into `semaphore`, unless there is one. `Ready` if there is a permit now.
pub(super) fn scout(semaphore: &Arc<Semaphore>, pool: &Counted<Pool>) -> Poll<()> {
    let line = pool.line();
    if !wanted(&line.lock()) {
        return Poll::Pending;
    }
    let heard = Arc::new(Heard {
        pool: pool.clone(),
        fired: Mutex::new(false),
    });
    let waker = Waker::from(Arc::clone(&heard));
    // Whether the task that waits has used up its budget does not matter here.
    let mut acquire = Box::pin(unconstrained(acquire_or_never(Arc::clone(semaphore))));
    if let Poll::Ready(permit) = acquire.as_mut().poll(&mut Context::from_waker(&waker)) {
        drop(permit);
        return Poll::Ready(());
    }
    let scout = Scout { _acquire: acquire };
    let mut state = line.lock();
    let fired = *heard.lock();
    // If it has heard of a permit meanwhile, it is dropped, and the permit goes back.
    let unused = if !fired && wanted(&state) {
        state.scout.replace(scout)
    } else {
        Some(scout)
    };
    drop(state);
    drop(unused);
    if fired {
        Poll::Ready(())
    } else {
        Poll::Pending
    }
}

/// Whether somebody waits who would not hear of a permit.
fn wanted(state: &State) -> bool {
    state.scout.is_none() && !state.queue.is_empty()
}

/// A semaphore that its owner has closed gives no permits any more.
async fn acquire_or_never(semaphore: Arc<Semaphore>) -> OwnedSemaphorePermit {
    match semaphore.acquire_owned().await {
        Ok(permit) => permit,
        Err(_closed) => std::future::pending().await,
    }
}

/// The waker of a scout.
struct Heard {
    /// The scout in the line of this pool has a reference to it, for as long as somebody waits there.
    pool: Counted<Pool>,
    /// Written and read under the lock of the line.
    fired: Mutex<bool>,
}

impl Heard {
    fn lock(&self) -> std::sync::MutexGuard<'_, bool> {
        self.fired.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Heard {
    fn wake(self: Arc<Self>) {
        let mut state = self.pool.line().lock();
        *self.lock() = true;
        let scout = state.scout.take();
        drop(state);
        // Gives the permit back to the semaphore, for whoever asks first.
        drop(scout);
        self.pool.tell();
    }
}

/// The line of `semaphore`, the same for all who ask while one of them has it.
pub(super) fn line(semaphore: &Arc<Semaphore>) -> Arc<Line> {
    let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    if lines.known.len() >= lines.sweep_at {
        lines.known.retain(|_, known| known.line.strong_count() > 0);
        lines.sweep_at = 2 * lines.known.len().max(8);
    }
    let address = Arc::as_ptr(semaphore).addr();
    let known = lines.known.get(&address);
    if let Some(line) = known.and_then(|known| known.line.upgrade()) {
        return line;
    }
    let line = Arc::<Line>::default();
    let known = Known {
        _semaphore: Arc::downgrade(semaphore),
        line: Arc::downgrade(&line),
    };
    lines.known.insert(address, known);
    line
}

/// By the address of the semaphore.
static LINES: LazyLock<Mutex<Lines>> = LazyLock::new(Mutex::default);

#[derive(Default)]
struct Lines {
    known: HashMap<usize, Known>,
    /// How many there may be before those that are no longer used are removed.
    sweep_at: usize,
}

struct Known {
    /// As long as it is here, no other semaphore has this address.
    _semaphore: Weak<Semaphore>,
    line: Weak<Line>,
}
