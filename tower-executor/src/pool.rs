use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::sync::Semaphore;

/// A bound on the requests that run, and on those that wait. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Pool(Arc<Bound>);

#[derive(Debug)]
struct Bound {
    /// One for each request that may run.
    permits: Semaphore,
    /// The number of requests that run or wait.
    admitted: AtomicUsize,
    max_admitted: usize,
}

/// A place among the requests that run or wait, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Bound>);

impl Pool {
    pub(crate) fn new(max_tasks: usize, max_queued: usize) -> Self {
        Self(Arc::new(Bound {
            permits: Semaphore::new(max_tasks.min(Semaphore::MAX_PERMITS)),
            admitted: AtomicUsize::new(0),
            max_admitted: max_tasks.saturating_add(max_queued),
        }))
    }

    /// Returns a place, or `None` if all are taken.
    pub(crate) fn admit(&self) -> Option<Place> {
        let more = |admitted| (admitted < self.0.max_admitted).then_some(admitted + 1);
        let admitted = self.0.admitted.fetch_update(Relaxed, Relaxed, more);
        admitted.is_ok().then(|| Place(Arc::clone(&self.0)))
    }
}

impl Place {
    /// Runs `future` when it is its turn, in the order in which this is first polled.
    pub(crate) async fn run<F: Future>(self, future: F) -> F::Output {
        // The semaphore is never closed.
        let _permit = self.0.permits.acquire().await;
        future.await
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.admitted.fetch_sub(1, Relaxed);
    }
}
