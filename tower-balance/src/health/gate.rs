//! What stands between the balancer and an endpoint.

use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

use super::Standing;
use crate::lock::lock;

/// Lets requests to an endpoint, or not.
#[derive(Debug)]
pub(super) struct Gate(Mutex<State>);

#[derive(Debug)]
struct State {
    standing: Standing,
    since: Instant,
    /// When the endpoint came, or was well again for all wrappers.
    well_since: Instant,
    /// Whether standing is ignored.
    panic: bool,
    /// Of those who asked since the last change, whatever the answer: also who was let in has to ask again then.
    wakers: Vec<(u64, Waker)>,
    passes: u64,
}

/// A service's right to ask at the gate.
#[derive(Debug)]
pub(super) struct Pass {
    gate: Arc<Gate>,
    id: u64,
}

/// Those to be woken, when it is dropped: after the locks.
#[must_use = "who is to be woken is woken when this is dropped"]
#[derive(Debug, Default)]
pub(super) struct Wakes(pub(super) Vec<Waker>);

impl Gate {
    pub(super) fn new(standing: Standing, since: Instant, panic: bool) -> Self {
        Self(Mutex::new(State {
            standing,
            since,
            well_since: since,
            panic,
            wakers: Vec::new(),
            passes: 0,
        }))
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
        }
    }

    fn change(&self, wakes: &mut Wakes, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        let was_open = state.is_open();
        change(&mut state);
        if state.is_open() != was_open {
            wakes
                .0
                .extend(state.wakers.drain(..).map(|(_, waker)| waker));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

impl State {
    fn is_open(&self) -> bool {
        self.panic || !matches!(self.standing, Standing::Out(_))
    }
}

impl Pass {
    /// Whether requests may go to the endpoint. The task is woken when the answer changes.
    pub(super) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.gate.lock();
        match state.wakers.iter_mut().find(|(id, _)| *id == self.id) {
            Some((_, waker)) => waker.clone_from(cx.waker()),
            None => state.wakers.push((self.id, cx.waker().clone())),
        }
        match state.is_open() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.gate.lock().wakers.retain(|(id, _)| *id != self.id);
    }
}

impl Drop for Wakes {
    fn drop(&mut self) {
        for waker in self.0.drain(..) {
            waker.wake();
        }
    }
}
