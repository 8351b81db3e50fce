//! Which of many services want to be polled.

use std::sync::{Arc, PoisonError};
use std::task::{Wake, Waker};

use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering};

/// The services that were woken since they were last polled, and the task that polls them.
#[derive(Debug)]
pub(super) struct Wakes {
    /// Whether there is one that was woken: what `state` says, for who has no need of the lock if there is none.
    some: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    woken: Vec<Arc<Signal>>,
    task: Option<Waker>,
}

/// One service's waker. It is woken at most once until it is taken up.
#[derive(Debug)]
pub(super) struct Signal {
    pub(super) slot: usize,
    /// Set while it is among those that were woken.
    queued: AtomicBool,
    wakes: Arc<Wakes>,
}

impl Signal {
    pub(super) fn new(slot: usize, wakes: &Arc<Wakes>) -> Arc<Self> {
        Arc::new(Self {
            slot,
            queued: AtomicBool::new(false),
            wakes: Arc::clone(wakes),
        })
    }

    /// Has the service polled next time, without waking the task.
    pub(super) fn enqueue(self: &Arc<Self>) {
        drop(self.queue());
    }

    /// `None` if it is among those that were woken already.
    fn queue(self: &Arc<Self>) -> Option<MutexGuard<'_, State>> {
        if self.queued.swap(true, Ordering::AcqRel) {
            return None;
        }
        let mut state = self.wakes.lock();
        state.woken.push(Arc::clone(self));
        self.wakes.some.store(true, Ordering::Release);
        Some(state)
    }

    /// To be called before the service is polled: whatever happens from now on wakes it again.
    pub(super) fn take_up(&self) {
        // A swap and no store: what was done before a wake-up that found it set is to be seen by the poll.
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

impl Default for Wakes {
    fn default() -> Self {
        Self {
            some: AtomicBool::new(false),
            state: Mutex::new(State::default()),
        }
    }
}

impl Wakes {
    /// The task that is woken from now on.
    pub(super) fn set_task(&self, waker: &Waker) {
        let mut state = self.lock();
        let outdated = match &mut state.task {
            Some(task) if task.will_wake(waker) => None,
            task => task.replace(waker.clone()),
        };
        drop(state);
        drop(outdated);
    }

    /// Exchanges those that were woken for an empty list, if there are any.
    #[inline]
    pub(super) fn swap(&self, list: &mut Vec<Arc<Signal>>) -> bool {
        // Whoever is not seen here has not yet woken the task, and does it then.
        self.some.load(Ordering::Acquire) && self.swap_some(list)
    }

    #[cold]
    fn swap_some(&self, list: &mut Vec<Arc<Signal>>) -> bool {
        let mut state = self.lock();
        std::mem::swap(&mut state.woken, list);
        self.some.store(false, Ordering::Release);
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// A service becomes ready, and wakes, while the task polls it as `poll_pending` does. Either the task sees that, or it
    /// is woken and sees it then.
    fn model(pushed: bool) {
        loom::model(move || {
            let wakes = Arc::new(Wakes::default());
            let task = Arc::new(Task(AtomicBool::new(false)));
            wakes.set_task(&Arc::clone(&task).into());
            let signal = Signal::new(0, &wakes);
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
                wakes.swap(&mut woken);
                woken.iter().any(|signal: &Arc<Signal>| {
                    signal.take_up();
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
    fn no_wake_up_is_lost_of_one_that_is_to_be_polled_anyway() {
        model(true);
    }
}
