//! Which of many services want to be polled.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

/// The services that were woken since they were last polled, and the task that polls them.
#[derive(Debug, Default)]
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
    pub(super) fn enqueue(self: &Arc<Self>) -> Option<Waker> {
        if self.queued.swap(true, Ordering::AcqRel) {
            return None;
        }
        let mut state = self.wakes.lock();
        state.woken.push(Arc::clone(self));
        self.wakes.some.store(true, Ordering::Release);
        state.task.clone()
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
        if let Some(task) = self.enqueue() {
            task.wake();
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
