//! State that a mock, its clones and their handle share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::error::{Closed, Error};

#[derive(Debug, Clone)]
pub(super) struct Shared(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// The number of requests that may still be sent.
    allowed: u64,
    /// The wakers of the clones that wait for an allowed request, by clone number.
    waiting: HashMap<u64, Waker>,
    closed: bool,
    next_id: u64,
    /// The error of the next `poll_ready`.
    error: Option<Error>,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            allowed: u64::MAX,
            waiting: HashMap::new(),
            closed: false,
            next_id: 0,
            error: None,
        })))
    }

    pub(super) fn next_id(&self) -> u64 {
        let mut state = self.lock();
        state.next_id += 1;
        state.next_id
    }

    /// `reserved`: whether this clone returned ready and has not been called since.
    pub(super) fn poll_ready(
        &self,
        id: u64,
        reserved: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        let mut state = self.lock();
        if state.closed {
            return Poll::Ready(Err(Closed::new().into()));
        }
        if let Some(error) = state.error.take() {
            return Poll::Ready(Err(error));
        }
        if reserved || state.allowed > 0 {
            return Poll::Ready(Ok(()));
        }
        state.waiting.insert(id, cx.waker().clone());
        Poll::Pending
    }

    /// Takes one of the allowed requests. Returns `false` if the handle was dropped.
    pub(super) fn call(&self) -> bool {
        let mut state = self.lock();
        if !state.closed {
            state.allowed = state.allowed.saturating_sub(1);
        }
        !state.closed
    }

    pub(super) fn allow(&self, requests: u64) {
        self.lock().allowed = requests;
        if requests > 0 {
            self.wake_all();
        }
    }

    pub(super) fn fail_readiness(&self, error: Error) {
        self.lock().error = Some(error);
        self.wake_all();
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.wake_all();
    }

    pub(super) fn forget(&self, id: u64) {
        let waker = self.lock().waiting.remove(&id);
        drop(waker);
    }

    fn wake_all(&self) {
        let waiting = std::mem::take(&mut self.lock().waiting);
        for waker in waiting.into_values() {
            waker.wake();
        }
    }

    /// Ignores poisoning, so that a test that panics elsewhere reports its own reason.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
