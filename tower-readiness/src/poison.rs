use std::sync::{LockResult, PoisonError};

/// Returns the guard of a mutex also if another thread has panicked while it held the mutex.
///
/// The layers of the family use it for data that is consistent whenever code that may panic runs under the lock, so that a panic
/// in one request does not fail the others. It takes the result of `lock`, so it also serves the mutex of `loom`.
///
/// # Example
///
/// ```
/// use std::sync::Mutex;
/// use std::thread;
/// use tower_readiness::ignore_poison;
///
/// let count = Mutex::new(1);
/// thread::scope(|scope| {
///     let holder = scope.spawn(|| {
///         let _guard = count.lock();
///         panic!("while the mutex is locked");
///     });
///     assert!(holder.join().is_err());
/// });
/// assert!(count.is_poisoned());
/// assert_eq!(*ignore_poison(count.lock()), 1);
/// ```
#[inline]
pub fn ignore_poison<G>(locked: LockResult<G>) -> G {
    locked.unwrap_or_else(PoisonError::into_inner)
}
