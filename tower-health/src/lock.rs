use std::sync::{Mutex, MutexGuard, PoisonError};

/// Ignores poisoning: no panic can leave a change half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
