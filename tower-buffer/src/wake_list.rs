//! A list of tasks to wake later.

use std::mem::ManuallyDrop;
use std::task::Waker;

/// Wakes its tasks when it is dropped. Its owner drops it after releasing the lock that the tasks need.
pub(crate) struct WakeList {
    /// `None` from `len` on. `Drop` takes all of them, so nothing is left for the compiler to drop: its code that checks each
    /// element once more takes 3 kB. The price: if waking a task panics, the wakers after it are leaked.
    wakers: ManuallyDrop<[Option<Waker>; Self::CAPACITY]>,
    len: usize,
}

impl WakeList {
    pub(crate) const CAPACITY: usize = 32;

    /// # Panics
    ///
    /// If it is full.
    pub(crate) fn push(&mut self, waker: Waker) {
        self.wakers[self.len] = Some(waker);
        self.len += 1;
    }
}

impl Default for WakeList {
    fn default() -> Self {
        Self {
            wakers: ManuallyDrop::new([const { None }; Self::CAPACITY]),
            len: 0,
        }
    }
}

impl Drop for WakeList {
    fn drop(&mut self) {
        for waker in self.wakers[..self.len].iter_mut().filter_map(Option::take) {
            waker.wake();
        }
    }
}
