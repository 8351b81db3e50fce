//! The worker's task, and whether the service has asked for it.

use std::sync::{Arc, PoisonError};
use std::task::{Wake, Waker};

use crate::sync::{AtomicBool, Mutex, Ordering};

/// Wakes the worker. As a [`Waker`] it is the service's, and remembers that.
#[derive(Debug)]
pub(crate) struct Wakes {
    by_service: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Wakes {
    pub(crate) fn new() -> Self {
        Self {
            by_service: AtomicBool::new(true),
            task: Mutex::new(None),
        }
    }

    /// Whether the service has asked to be polled since this was called last. It has at the beginning.
    pub(crate) fn take(&self) -> bool {
        self.by_service.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn set_task(&self, waker: &Waker) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        let outdated = match &mut *task {
            Some(known) if known.will_wake(waker) => None,
            known => known.replace(waker.clone()),
        };
        drop(task);
        drop(outdated);
    }

    pub(crate) fn clear_task(&self) {
        let outdated = self
            .task
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(outdated);
    }

    pub(crate) fn wake_worker(&self) {
        let task = self
            .task
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // First the flag, then the task, which sees the flag when it runs.
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

    /// A worker that goes to sleep without having seen that the service asks for it is woken, and sees it then.
    #[test]
    fn the_service_is_not_overheard() {
        loom::model(|| {
            let wakes = Arc::new(Wakes::new());
            assert!(wakes.take());
            let service = {
                let wakes = Arc::clone(&wakes);
                thread::spawn(move || wakes.wake())
            };
            let task = Arc::new(Task(AtomicBool::new(false)));
            wakes.set_task(&Arc::clone(&task).into());
            let seen = wakes.take();
            service.join().unwrap();
            assert!(seen || (task.0.load(Ordering::Acquire) && wakes.take()));
        });
    }
}
