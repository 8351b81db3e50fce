//! The worker's task, and whether the service has woken it.

use std::sync::Arc;
use std::task::{Wake, Waker};

use tower_readiness::ignore_poison;

use crate::sync::{AtomicBool, Mutex, Ordering};

/// Wakes the worker. As a [`Waker`] it belongs to the service, and records that the service has woken the worker.
#[derive(Debug)]
pub(crate) struct WorkerWaker {
    by_service: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl WorkerWaker {
    pub(crate) fn new() -> Self {
        Self {
            by_service: AtomicBool::new(true),
            task: Mutex::new(None),
        }
    }

    /// Returns whether the service has woken the worker since the last call. The first call returns `true`.
    pub(crate) fn take_service_wake(&self) -> bool {
        self.by_service.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn set_task(&self, waker: &Waker) {
        let mut task = ignore_poison(self.task.lock());
        let outdated = match &mut *task {
            Some(known) if known.will_wake(waker) => None,
            known => known.replace(waker.clone()),
        };
        drop(task);
        drop(outdated);
    }

    pub(crate) fn clear_task(&self) {
        let outdated = ignore_poison(self.task.lock()).take();
        drop(outdated);
    }

    pub(crate) fn wake_worker(&self) {
        let task = ignore_poison(self.task.lock()).clone();
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl Wake for WorkerWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // The flag first, so that the task sees it when it runs.
        self.by_service.swap(true, Ordering::AcqRel);
        self.wake_worker();
    }
}

#[cfg(all(test, tower_loom))]
mod loom_tests {
    use loom::thread;

    use super::*;

    struct Task(AtomicBool);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Release);
        }
    }

    /// A worker that becomes pending without having seen the service's wake-up is woken, and then sees it.
    #[test]
    fn no_wake_up_of_the_service_is_lost() {
        loom::model(|| {
            let waker = Arc::new(WorkerWaker::new());
            assert!(waker.take_service_wake());
            let service = {
                let waker = Arc::clone(&waker);
                thread::spawn(move || waker.wake())
            };
            let task = Arc::new(Task(AtomicBool::new(false)));
            waker.set_task(&Arc::clone(&task).into());
            let seen = waker.take_service_wake();
            service.join().unwrap();
            assert!(seen || (task.0.load(Ordering::Acquire) && waker.take_service_wake()));
        });
    }
}
