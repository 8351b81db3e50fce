//! A value that one at a time uses, and that nobody waits for.

use std::sync::PoisonError;

use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering};

/// Whoever finds it in use does without, or has himself called when it is given back.
#[derive(Debug)]
pub(crate) struct Exclusive<T> {
    value: Mutex<T>,
    wanted: AtomicBool,
}

impl<T> Exclusive<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            value: Mutex::new(value),
            wanted: AtomicBool::new(false),
        }
    }

    /// `None` while it is in use. It is to be given back by [`give_back`](Self::give_back).
    pub(crate) fn try_use(&self) -> Option<MutexGuard<'_, T>> {
        for attempt in 0..ATTEMPTS {
            match self.value.try_lock() {
                Ok(guard) => return Some(guard),
                Err(std::sync::TryLockError::Poisoned(poisoned)) => {
                    // No panic leaves it half changed: those of the service are caught.
                    return Some(PoisonError::into_inner(poisoned));
                }
                Err(std::sync::TryLockError::WouldBlock) if attempt + 1 < ATTEMPTS => {
                    std::hint::spin_loop();
                }
                Err(std::sync::TryLockError::WouldBlock) => {}
            }
        }
        None
    }

    /// The same; but whoever has it is told now that it is wanted. It may happen that he is told so in vain.
    pub(crate) fn want(&self) -> Option<MutexGuard<'_, T>> {
        self.try_use().or_else(|| {
            // Either `give_back` sees this, or it has been before it, and then it is free now.
            self.wanted.swap(true, Ordering::AcqRel);
            self.try_use()
        })
    }

    /// Whether it is wanted.
    pub(crate) fn give_back(&self, guard: MutexGuard<'_, T>) -> bool {
        drop(guard);
        // A swap and no load: so it comes before or after that of `want`, and not at the same time.
        self.wanted.swap(false, Ordering::AcqRel)
    }
}

/// Most calls take less time than a visit to the queue does.
const ATTEMPTS: u32 = if cfg!(tower_loom) { 1 } else { 32 };
