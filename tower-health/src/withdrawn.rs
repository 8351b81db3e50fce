//! Cancellations that no endpoint has caused.

use std::cell::Cell;

/// Runs a closure that cancels requests for a reason unrelated to their endpoints: for example, the client has
/// disconnected or has aborted its upload.
///
/// Requests whose response futures are dropped within `withdraw`, on this thread, do not count as failures, no matter
/// how long they have waited. See
/// [`OutlierConfig::cancelled_after`](crate::policy::outlier::OutlierConfig::cancelled_after).
///
/// # Example
///
/// ```
/// use std::future::pending;
/// use tower_health::withdrawn;
///
/// let response = Box::pin(pending::<()>());
/// // The client has closed its connection.
/// withdrawn(|| drop(response));
/// ```
pub fn withdrawn<T>(withdraw: impl FnOnce() -> T) -> T {
    /// Restores the former value, also if `withdraw` panics.
    struct Restore(bool);

    impl Drop for Restore {
        fn drop(&mut self) {
            WITHDRAWN.set(self.0);
        }
    }

    let _restore = Restore(WITHDRAWN.replace(true));
    withdraw()
}

/// Whether this thread is within [`withdrawn`].
pub(super) fn is() -> bool {
    WITHDRAWN.get()
}

thread_local! {
    static WITHDRAWN: Cell<bool> = const { Cell::new(false) };
}
