//! The tokio runtime in which a worker runs, if any.

use std::cell::Cell;

use tokio::runtime::{self, Handle};
use tokio::task;

/// The runtime of a task, or `None` outside of a runtime.
///
/// A service may need its runtime when it is called, for timers, connections or tasks. So only callers in the worker's
/// runtime call it; others leave that to the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Runtime(Option<runtime::Id>);

impl Runtime {
    /// Returns the current runtime.
    pub(crate) fn here() -> Self {
        let task = task::try_id();
        if let Some((known, runtime)) = LAST.get()
            && task == Some(known)
        {
            return runtime;
        }
        let runtime = Self(Handle::try_current().ok().map(|handle| handle.id()));
        if let Some(task) = task {
            LAST.set(Some((task, runtime)));
        }
        runtime
    }
}

thread_local! {
    /// The last task for which this was looked up on this thread, and its runtime. A task stays in its runtime.
    static LAST: Cell<Option<(task::Id, Runtime)>> = const { Cell::new(None) };
}
