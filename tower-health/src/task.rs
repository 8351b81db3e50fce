use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Waker};

use tower_readiness::ignore_poison;

/// The task that polls a driver, and the number of its endpoints.
#[allow(unreachable_pub, unnameable_types, reason = "sealed")]
#[derive(Debug, Default)]
pub struct Task(Mutex<(Option<Waker>, usize)>);

impl Task {
    pub(super) fn wake(&self) {
        let waker = self.lock().0.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(super) fn entered(&self) {
        self.lock().1 += 1;
    }

    pub(super) fn left(&self) {
        self.lock().1 -= 1;
        self.wake();
    }

    pub(super) fn is_idle(&self) -> bool {
        self.lock().1 == 0
    }

    pub(super) fn register(&self, cx: &Context<'_>) {
        let waker = &mut self.lock().0;
        match waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *waker = Some(cx.waker().clone()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, (Option<Waker>, usize)> {
        ignore_poison(self.0.lock())
    }
}
