//! Where a service is at home: the tokio runtime in which its worker runs, or none.

use std::cell::Cell;

use tokio::runtime::{self, Handle};
use tokio::task;

/// A service may need its runtime when it is called, for timers, connections or tasks. So only callers in that
/// runtime call it; others leave it to the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Home(Option<runtime::Id>);

impl Home {
    /// Where this is called.
    pub(crate) fn here() -> Self {
        let task = task::try_id();
        if let Some((known, home)) = LAST.get()
            && task == Some(known)
        {
            return home;
        }
        let home = Self(Handle::try_current().ok().map(|runtime| runtime.id()));
        if let Some(task) = task {
            LAST.set(Some((task, home)));
        }
        home
    }
}

thread_local! {
    /// The task that asked last, and where it is. A task stays in its runtime.
    static LAST: Cell<Option<(task::Id, Home)>> = const { Cell::new(None) };
}
