//! The number of threads that serve by default, and an index for each thread.

use std::num::NonZero;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Returns `TOKIO_WORKER_THREADS` if it is set, as every program on tokio does, and else the number of cores that the
/// process may use. Computed once.
pub(crate) fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| {
        let set = std::env::var("TOKIO_WORKER_THREADS").ok();
        set.and_then(|number| number.parse().ok())
            .or_else(|| thread::available_parallelism().ok())
            .map_or(1, NonZero::get)
    })
}

/// Returns the index of this thread: threads are numbered in the order in which they first ask for it.
pub(crate) fn index() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static INDEX: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    // The thread local of a thread that is exiting may be gone.
    INDEX.try_with(|index| *index).unwrap_or(0)
}
