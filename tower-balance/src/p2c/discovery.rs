//! Discovery, which is seldom polled unless it was woken.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use tower_discover::{Change, Discover, Paced};
use tower_readiness::ignore_poison;

use crate::BoxError;
use crate::sync::{AtomicBool, Mutex, Ordering};

/// A discovery with a waker of its own. It changes rarely, and the balancer is polled for each request.
pub(super) struct Discovery<D: Discover> {
    discover: Paced<D, BoxError>,
    signal: Arc<Signal>,
    /// `signal`, as a waker for `discover`.
    waker: Waker,
    /// The task that `signal` wakes.
    task: Option<Waker>,
    /// The number of times that the balancer was polled, modulo 256.
    polls: u8,
}

/// Whether discovery was woken since it was last polled, and the task to wake.
#[derive(Debug)]
struct Signal {
    woken: AtomicBool,
    task: Mutex<Option<Waker>>,
}

type Found<D> = Change<<D as Discover>::Key, <D as Discover>::Service>;

impl<D: Discover> Discovery<D> {
    pub(super) fn new(discover: D) -> Self {
        let signal = Arc::new(Signal::new());
        Self {
            discover: Paced::new(discover),
            waker: Arc::clone(&signal).into(),
            signal,
            task: None,
            polls: 0,
        }
    }

    pub(super) const fn has_ended(&self) -> bool {
        self.discover.has_ended()
    }

    /// Returns whether there may be a change to poll for. If not, the task is woken when there is.
    #[inline]
    pub(super) fn may_change(&mut self, cx: &Context<'_>) -> bool {
        if self.has_ended() {
            return false;
        }
        let is_same = |task: &Waker| task.will_wake(cx.waker());
        if !self.task.as_ref().is_some_and(is_same) {
            self.task = Some(cx.waker().clone());
            self.signal.set_task(cx.waker());
        }
        self.polls = self.polls.wrapping_add(1);
        self.signal.is_woken() || self.polls.is_multiple_of(UNWOKEN)
    }

    /// Polls for the next change.
    pub(super) fn poll_change(&mut self) -> Poll<Option<Result<Found<D>, BoxError>>>
    where
        D: Unpin,
        D::Error: Into<BoxError>,
    {
        self.signal.clear();
        let mut cx = Context::from_waker(&self.waker);
        let polled = Pin::new(&mut self.discover).poll_change(&mut cx);
        if polled.is_ready() {
            // There may be more.
            self.signal.set();
        }
        polled
    }
}

impl Signal {
    fn new() -> Self {
        Self {
            woken: AtomicBool::new(true),
            task: Mutex::new(None),
        }
    }

    #[inline]
    fn is_woken(&self) -> bool {
        // A wake-up that is not visible here has not woken the task yet, and will.
        self.woken.load(Ordering::Acquire)
    }

    /// Must be called before discovery is polled, so that a later wake-up is noticed.
    fn clear(&self) {
        // A swap rather than a store: the poll must see what was written before a wake-up that found the flag set.
        self.woken.swap(false, Ordering::AcqRel);
    }

    fn set(&self) {
        // A swap as well, so that it is ordered with that of `clear`: one of them sees the other.
        self.woken.swap(true, Ordering::AcqRel);
    }

    fn set_task(&self, waker: &Waker) {
        let outdated = ignore_poison(self.task.lock()).replace(waker.clone());
        drop(outdated);
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.set();
        let task = ignore_poison(self.task.lock()).clone();
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl<D> fmt::Debug for Discovery<D>
where
    D: Discover + fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.discover.fmt(f)
    }
}

/// One of this number of polls of the balancer polls a discovery that has not been woken: some arrange no wake-up, although
/// they should, and rely on being polled with the requests.
const UNWOKEN: u8 = 32;

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

    /// Discovery wakes the task while the task polls it. Either the task sees the change, or it is woken and sees it
    /// then.
    #[test]
    fn no_wake_up_is_lost() {
        loom::model(|| {
            let signal = Arc::new(Signal::new());
            let task = Arc::new(Task(AtomicBool::new(false)));
            let changed = Arc::new(AtomicBool::new(false));
            let discovery = {
                let (signal, changed) = (Arc::clone(&signal), Arc::clone(&changed));
                thread::spawn(move || {
                    changed.store(true, Ordering::Relaxed);
                    signal.wake();
                })
            };
            signal.set_task(&Arc::clone(&task).into());
            let poll = || {
                signal.is_woken() && {
                    signal.clear();
                    changed.load(Ordering::Relaxed)
                }
            };
            let seen = poll();
            discovery.join().unwrap();
            assert!(seen || (task.0.load(Ordering::Acquire) || signal.is_woken()) && poll());
        });
    }
}
