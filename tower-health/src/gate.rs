//! Whether an endpoint may receive requests in one wrapper, and the tasks that wait for a change of that.

use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

use super::standing::Standing;
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering};

/// The status of an endpoint in one wrapper: open if it may receive requests.
#[derive(Debug)]
pub(super) struct Gate {
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
    well_since: Instant,
    /// Whether panic mode is on, in which the standing is ignored.
    panic: bool,
    /// The wakers of all waiters that polled since the last change, including those that found it open: they must poll
    /// again after a change.
    wakers: Vec<(u64, Waker)>,
    passes: u64,
}

/// Waits on behalf of one service until the status is open.
#[derive(Debug)]
pub(super) struct Pass {
    gate: Arc<Gate>,
    id: u64,
    /// The word when the waker was registered, and the waker.
    asked: Option<(u64, Waker)>,
}

/// Wakers that are woken when this is dropped, which must be after the locks are released.
#[must_use = "the wakers are woken when this is dropped"]
#[derive(Debug, Default)]
pub(super) struct Wakes(pub(super) Vec<Waker>);

impl Gate {
    pub(super) fn new(standing: Standing, since: Instant, panic: bool) -> Self {
        let state = State {
            standing,
            since,
            well_since: since,
            panic,
            wakers: Vec::new(),
            passes: 0,
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

    pub(super) fn well_since(&self) -> Instant {
        self.lock().well_since
    }

    pub(super) fn set_well_since(&self, now: Instant) {
        self.lock().well_since = now;
    }

    pub(super) fn set_standing(&self, standing: Standing, now: Instant, wakes: &mut Wakes) {
        self.change(wakes, |state| {
            (state.standing, state.since) = (standing, now);
        });
    }

    pub(super) fn set_panic(&self, panic: bool, wakes: &mut Wakes) {
        self.change(wakes, |state| state.panic = panic);
    }

    pub(super) fn pass(self: &Arc<Self>) -> Pass {
        let mut state = self.lock();
        state.passes += 1;
        Pass {
            gate: Arc::clone(self),
            id: state.passes,
            asked: None,
        }
    }

    fn change(&self, wakes: &mut Wakes, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        let was_open = state.is_open();
        change(&mut state);
        if state.is_open() != was_open {
            let word = self.word.load(Ordering::Relaxed);
            // Adding one flips the lowest bit.
            self.word.store(word.wrapping_add(1), Ordering::Release);
            wakes
                .0
                .extend(state.wakers.drain(..).map(|(_, waker)| waker));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_open(&self) -> bool {
        self.panic || !matches!(self.standing, Standing::Out(_))
    }
}

impl Pass {
    /// Ready if the endpoint may receive requests. The task is woken when that changes, in either direction.
    #[inline]
    pub(super) fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        let word = self.gate.word.load(Ordering::Acquire);
        match &self.asked {
            Some((known, waker)) if *known == word && waker.will_wake(cx.waker()) => answer(word),
            _ => self.ask(cx.waker()),
        }
    }

    fn ask(&mut self, waker: &Waker) -> Poll<()> {
        let mut state = self.gate.lock();
        let word = self.gate.word.load(Ordering::Relaxed);
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

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        let place = state.wakers.iter().position(|(id, _)| *id == self.id);
        let waker = place.map(|place| state.wakers.swap_remove(place));
        drop(state);
        drop(waker);
    }
}

impl Drop for Wakes {
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
            let gate = Arc::new(Gate::new(Standing::Well, now, false));
            let mut pass = gate.pass();
            let other = thread::spawn(move || {
                let mut wakes = Wakes::default();
                gate.set_standing(Standing::Out(Reason::Dead), now, &mut wakes);
            });
            let woken = Arc::new(Woken::default());
            let waker = Waker::from(Arc::clone(&woken));
            let cx = Context::from_waker(&waker);
            let _first = pass.poll(&cx);
            let last = pass.poll(&cx);
            other.join().unwrap();
            assert!(last.is_pending() || woken.0.load(Ordering::Relaxed) == 1);
            assert!(pass.poll(&cx).is_pending());
        });
    }
}
