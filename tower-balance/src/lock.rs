use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks also what somebody held who panicked: no change is left half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
