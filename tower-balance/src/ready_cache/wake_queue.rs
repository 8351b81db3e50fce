//! A queue of the services that were woken.

use std::sync::Arc;
use std::task::{Wake, Waker};

use tower_readiness::ignore_poison;

use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering};

/// The services that were woken since they were last polled, and the task that polls them.
#[derive(Debug)]
pub(super) struct WakeQueue {
    /// Whether `state` has woken services, which can be read without the lock.
    has_woken: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    woken: Vec<Arc<Signal>>,
    task: Option<Waker>,
}

/// The waker of one service. It is queued at most once, until [`mark_dequeued`](Self::mark_dequeued).
#[derive(Debug)]
pub(super) struct Signal {
    pub(super) slot: usize,
    /// Set while it is in the queue of woken services.
    queued: AtomicBool,
    wake_queue: Arc<WakeQueue>,
}

impl Signal {
    pub(super) fn new(slot: usize, wake_queue: &Arc<WakeQueue>) -> Arc<Self> {
        Arc::new(Self {
            slot,
            queued: AtomicBool::new(false),
            wake_queue: Arc::clone(wake_queue),
        })
    }

    /// Queues the service for the next poll, without waking the task.
    pub(super) fn enqueue(self: &Arc<Self>) {
        drop(self.queue());
    }

    /// Returns `None` if it is queued already.
    fn queue(self: &Arc<Self>) -> Option<MutexGuard<'_, State>> {
        if self.queued.swap(true, Ordering::AcqRel) {
            return None;
        }
        let mut state = self.wake_queue.lock();
        state.woken.push(Arc::clone(self));
        self.wake_queue.has_woken.store(true, Ordering::Release);
        Some(state)
    }

    /// Must be called before the service is polled, so that a later wake-up queues it again.
    pub(super) fn mark_dequeued(&self) {
        // A swap rather than a store: the poll must see what was written before a wake-up that found the flag set.
        self.queued.swap(false, Ordering::AcqRel);
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let task = self.queue().and_then(|state| state.task.clone());
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl Default for WakeQueue {
    fn default() -> Self {
        Self {
            has_woken: AtomicBool::new(false),
            state: Mutex::new(State::default()),
        }
    }
}

impl WakeQueue {
    /// Sets the task to wake.
    pub(super) fn set_task(&self, waker: &Waker) {
        let mut state = self.lock();
        let outdated = match &mut state.task {
            Some(task) if task.will_wake(waker) => None,
            task => task.replace(waker.clone()),
        };
        drop(state);
        drop(outdated);
    }

    /// Swaps the queue of woken services with the empty `list`, unless the queue is empty.
    #[inline]
    pub(super) fn swap(&self, list: &mut Vec<Arc<Signal>>) -> bool {
        // A service whose wake-up is not visible here has not woken the task yet, and will.
        self.has_woken.load(Ordering::Acquire) && self.swap_woken(list)
    }

    #[cold]
    fn swap_woken(&self, list: &mut Vec<Arc<Signal>>) -> bool {
        let mut state = self.lock();
        std::mem::swap(&mut state.woken, list);
        self.has_woken.store(false, Ordering::Release);
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        ignore_poison(self.state.lock())
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

    /// A service becomes ready and wakes the task, while the task polls it as `poll_pending` does. Either the task sees
    /// that the service is ready, or it is woken and sees it then.
    fn model(pushed: bool) {
        loom::model(move || {
            let wake_queue = Arc::new(WakeQueue::default());
            let task = Arc::new(Task(AtomicBool::new(false)));
            wake_queue.set_task(&Arc::clone(&task).into());
            let signal = Signal::new(0, &wake_queue);
            if pushed {
                signal.enqueue();
            }
            let ready = Arc::new(AtomicBool::new(false));
            let service = {
                let (signal, ready) = (Arc::clone(&signal), Arc::clone(&ready));
                thread::spawn(move || {
                    ready.store(true, Ordering::Relaxed);
                    signal.wake();
                })
            };
            let poll = || {
                let mut woken = Vec::new();
                wake_queue.swap(&mut woken);
                woken.iter().any(|signal: &Arc<Signal>| {
                    signal.mark_dequeued();
                    ready.load(Ordering::Relaxed)
                })
            };
            let seen = poll();
            service.join().unwrap();
            assert!(seen || (task.0.load(Ordering::Acquire) && poll()));
        });
    }

    #[test]
    fn no_wake_up_is_lost() {
        model(false);
    }

    #[test]
    fn no_wake_up_is_lost_of_a_service_that_is_already_queued() {
        model(true);
    }
}
