//! A list of tasks to wake later.

use std::task::Waker;

/// Wakes its tasks when it is dropped, which its owner does after releasing what the tasks want.
#[derive(Default)]
pub(crate) struct WakeList {
    wakers: [Option<Waker>; Self::CAPACITY],
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

impl Drop for WakeList {
    fn drop(&mut self) {
        for waker in self.wakers[..self.len].iter_mut().filter_map(Option::take) {
            waker.wake();
        }
    }
}
