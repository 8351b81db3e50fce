//! Cancellations that are not the fault of any endpoint.

use std::cell::Cell;

/// Drops a request's future, or does anything else that does, for a reason that has nothing to do with its endpoint: the
/// client went away, or broke off its upload.
///
/// Requests that are cancelled within `withdraw`, on this thread, do not count as failures, however long they had waited.
/// See [`OutlierConfig::cancelled_after`](crate::policy::outlier::OutlierConfig::cancelled_after).
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
    /// Restores what was, also when `withdraw` panics.
    struct Restore(bool);

    impl Drop for Restore {
        fn drop(&mut self) {
            WITHDRAWN.set(self.0);
        }
    }

    let _restore = Restore(WITHDRAWN.replace(true));
    withdraw()
}

/// Whether what is dropped now is withdrawn.
pub(super) fn is() -> bool {
    WITHDRAWN.get()
}

thread_local! {
    static WITHDRAWN: Cell<bool> = const { Cell::new(false) };
}
