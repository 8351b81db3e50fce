//! Whether a wrapper lets an endpoint receive requests, and the tasks that wait for a change.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;
use tower_readiness::ignore_poison;

use super::standing::Standing;
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering};

/// The status of an endpoint in one wrapper: open if it may receive requests.
#[derive(Debug)]
pub(super) struct EndpointStatus {
    /// The lowest bit is 1 if the status is open; the other bits count the changes. Written with the state locked,
    /// before the wakers are taken: if a waiter reads the value that it read when it registered its waker, the waker is
    /// still registered or is about to be woken.
    word: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    standing: Standing,
    since: Instant,
    /// When the endpoint was added, or became healthy again in all wrappers.
    healthy_since: Instant,
    /// Whether panic mode is on, in which the standing is ignored.
    panic: bool,
    /// The wakers of all waiters that polled since the last change, including those that found it open: they must poll
    /// again after a change.
    wakers: Vec<(u64, Waker)>,
    waiters: u64,
}

/// Waits on behalf of one service until the status is open.
#[derive(Debug)]
pub(super) struct StatusWaiter {
    status: Arc<EndpointStatus>,
    id: u64,
    /// The word when the waker was registered, and the waker.
    asked: Option<(u64, Waker)>,
}

/// Wakers that are woken when this is dropped, which must be after the locks are released.
#[must_use = "the wakers are woken when this is dropped"]
#[derive(Debug, Default)]
pub(super) struct WakeList(pub(super) Vec<Waker>);

impl EndpointStatus {
    pub(super) fn new(standing: Standing, since: Instant, panic: bool) -> Self {
        let state = State {
            standing,
            since,
            healthy_since: since,
            panic,
            wakers: Vec::new(),
            waiters: 0,
        };
        Self {
            word: AtomicU64::new(u64::from(state.is_open())),
            state: Mutex::new(state),
        }
    }

    pub(super) fn standing(&self) -> (Standing, Instant) {
        let state = self.lock();
        (state.standing, state.since)
    }

    pub(super) fn healthy_since(&self) -> Instant {
        self.lock().healthy_since
    }

    pub(super) fn set_healthy_since(&self, now: Instant) {
        self.lock().healthy_since = now;
    }

    pub(super) fn set_standing(&self, standing: Standing, now: Instant, wake_list: &mut WakeList) {
        self.change(wake_list, |state| {
            (state.standing, state.since) = (standing, now);
        });
    }

    pub(super) fn set_panic(&self, panic: bool, wake_list: &mut WakeList) {
        self.change(wake_list, |state| state.panic = panic);
    }

    pub(super) fn waiter(self: &Arc<Self>) -> StatusWaiter {
        let mut state = self.lock();
        state.waiters += 1;
        StatusWaiter {
            status: Arc::clone(self),
            id: state.waiters,
            asked: None,
        }
    }

    fn change(&self, wake_list: &mut WakeList, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        let was_open = state.is_open();
        change(&mut state);
        if state.is_open() != was_open {
            let word = self.word.load(Ordering::Relaxed);
            // Adding one flips the lowest bit.
            self.word.store(word.wrapping_add(1), Ordering::Release);
            wake_list
                .0
                .extend(state.wakers.drain(..).map(|(_, waker)| waker));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        ignore_poison(self.state.lock())
    }
}

impl State {
    fn is_open(&self) -> bool {
        self.panic || !matches!(self.standing, Standing::Ejected(_))
    }
}

impl StatusWaiter {
    /// Ready if the endpoint may receive requests. The task is woken when that changes, in either direction.
    #[inline]
    pub(super) fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        let word = self.status.word.load(Ordering::Acquire);
        match &self.asked {
            Some((known, waker)) if *known == word && waker.will_wake(cx.waker()) => answer(word),
            _ => self.ask(cx.waker()),
        }
    }

    fn ask(&mut self, waker: &Waker) -> Poll<()> {
        let mut state = self.status.lock();
        let word = self.status.word.load(Ordering::Relaxed);
        let outdated = match state.wakers.iter_mut().find(|(id, _)| *id == self.id) {
            Some((_, known)) => Some(std::mem::replace(known, waker.clone())),
            None => {
                state.wakers.push((self.id, waker.clone()));
                None
            }
        };
        drop(state);
        drop(outdated);
        self.asked = Some((word, waker.clone()));
        answer(word)
    }
}

const fn answer(word: u64) -> Poll<()> {
    match word & 1 {
        1 => Poll::Ready(()),
        _ => Poll::Pending,
    }
}

impl Drop for StatusWaiter {
    fn drop(&mut self) {
        let mut state = self.status.lock();
        let place = state.wakers.iter().position(|(id, _)| *id == self.id);
        let waker = place.map(|place| state.wakers.swap_remove(place));
        drop(state);
        drop(waker);
    }
}

impl Drop for WakeList {
    fn drop(&mut self) {
        for waker in self.0.drain(..) {
            waker.wake();
        }
    }
}

#[cfg(all(test, tower_loom))]
mod loom_tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use loom::thread;

    use super::super::standing::Reason;
    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A task that polls while the endpoint is being ejected finds it closed, or is woken.
    #[test]
    fn no_change_is_missed() {
        loom::model(|| {
            let now = Instant::now();
            let status = Arc::new(EndpointStatus::new(Standing::Healthy, now, false));
            let mut waiter = status.waiter();
            let other = thread::spawn(move || {
                let mut wake_list = WakeList::default();
                status.set_standing(Standing::Ejected(Reason::Dead), now, &mut wake_list);
            });
            let woken = Arc::new(Woken::default());
            let waker = Waker::from(Arc::clone(&woken));
            let cx = Context::from_waker(&waker);
            let _first = waiter.poll(&cx);
            let last = waiter.poll(&cx);
            other.join().unwrap();
            assert!(last.is_pending() || woken.0.load(Ordering::Relaxed) == 1);
            assert!(waiter.poll(&cx).is_pending());
        });
    }
}
