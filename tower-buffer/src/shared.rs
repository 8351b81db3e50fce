//! What the handles, the response futures and the worker share: the queue behind a lock, and who is to be woken.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tracing::Span;

use crate::error::Failure;
use crate::queue::{Job, Place, Queue};

#[derive(Debug)]
pub(crate) struct Shared<Req, F> {
    state: Mutex<State<Req, F>>,
}

#[derive(Debug)]
struct State<Req, F> {
    queue: Queue<Req, F>,
    worker: Option<Waker>,
    handles: usize,
    closed: Option<Failure>,
}

/// What the worker finds.
pub(crate) enum Next<Req> {
    Job(usize, Job<Req>),
    /// Nothing is queued, or nothing can be done about it.
    Empty,
    /// Nothing is queued, but all places are taken, and somebody waits for one.
    Blocked,
    /// Nothing is queued, and nobody is left to change that.
    Finished,
}

// No method wakes anybody or drops anything of the user's while it has the lock: both may run any code.
impl<Req, F> Shared<Req, F> {
    /// With one handle.
    pub(crate) fn new(bound: usize) -> Self {
        Self {
            state: Mutex::new(State {
                queue: Queue::new(bound),
                worker: None,
                handles: 1,
                closed: None,
            }),
        }
    }

    pub(crate) fn poll_place(
        &self,
        place: &mut Place,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        let mut state = self.lock();
        if let Some(failure) = &state.closed {
            return Poll::Ready(Err(failure.clone()));
        }
        if state.queue.reserve(place, cx.waker()) {
            return Poll::Ready(Ok(()));
        }
        let worker = if state.queue.is_blocked() {
            state.worker.clone()
        } else {
            None
        };
        drop(state);
        wake(worker);
        Poll::Pending
    }

    /// Puts a request into the place that the handle has reserved.
    pub(crate) fn push(&self, request: Req) -> Result<usize, Failure> {
        let job = Job {
            request,
            span: Span::current(),
        };
        let mut state = self.lock();
        if let Some(failure) = &state.closed {
            let failure = failure.clone();
            drop(state);
            return Err(failure);
        }
        let key = state.queue.push(job);
        let worker = state.worker.clone();
        drop(state);
        wake(worker);
        Ok(key)
    }

    pub(crate) fn add_handle(&self) {
        self.lock().handles += 1;
    }

    pub(crate) fn remove_handle(&self, place: &Place) {
        let mut state = self.lock();
        let next = state.queue.give_back(place);
        state.handles -= 1;
        let worker = if state.handles == 0 {
            state.worker.clone()
        } else {
            None
        };
        drop(state);
        wake(next);
        wake(worker);
    }

    /// The span of the first request, without taking that. From now on the waker is woken when one comes.
    pub(crate) fn first_span(&self, cx: &Context<'_>) -> Option<Span> {
        let mut state = self.lock();
        let outdated = match &mut state.worker {
            Some(worker) if worker.will_wake(cx.waker()) => None,
            worker => worker.replace(cx.waker().clone()),
        };
        let span = state.queue.first_span().cloned();
        drop(state);
        drop(outdated);
        span
    }

    pub(crate) fn next(&self, ready: bool) -> Next<Req> {
        let mut state = self.lock();
        if state.queue.is_empty() && state.handles == 0 {
            return Next::Finished;
        }
        if state.queue.is_blocked() {
            return Next::Blocked;
        }
        if !ready {
            let freed = state.queue.take_in_hand();
            drop(state);
            wake(freed);
            return Next::Empty;
        }
        let Some((key, job, freed)) = state.queue.pop() else {
            return Next::Empty;
        };
        drop(state);
        wake(freed);
        Next::Job(key, job)
    }

    pub(crate) fn lend(&self) {
        let next = self.lock().queue.lend();
        wake(next);
    }

    pub(crate) fn reply(&self, key: usize, reply: Result<F, Failure>) {
        // Binding it first lets go of the lock before anything is woken or dropped.
        let outcome = self.lock().queue.reply(key, reply);
        match outcome {
            Ok(caller) => wake(caller),
            Err(unwanted) => drop(unwanted),
        }
    }

    /// From now on everything fails. Only the first failure counts.
    pub(crate) fn close(&self, failure: &Failure) {
        let mut state = self.lock();
        if state.closed.is_some() {
            return;
        }
        state.closed = Some(failure.clone());
        let worker = state.worker.take();
        let waiting = state.queue.take_waiting();
        let (mut jobs, mut callers) = (Vec::new(), Vec::new());
        while let Some((key, job, _)) = state.queue.pop() {
            jobs.push(job);
            callers.extend(state.queue.reply(key, Err(failure.clone())).ok().flatten());
        }
        drop(state);
        drop(worker);
        for waker in waiting.into_values().chain(callers) {
            waker.wake();
        }
        drop(jobs);
    }

    fn lock(&self) -> MutexGuard<'_, State<Req, F>> {
        // Nothing that panics runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The part of it that a response future needs, which does not care for the type of the request.
pub(crate) trait Replies<F>: Send + Sync {
    fn poll_reply(&self, key: usize, cx: &mut Context<'_>) -> Poll<Result<F, Failure>>;
    fn forget(&self, key: usize);
}

impl<Req: Send, F: Send> Replies<F> for Shared<Req, F> {
    fn poll_reply(&self, key: usize, cx: &mut Context<'_>) -> Poll<Result<F, Failure>> {
        match self.lock().queue.take_reply(key, cx.waker()) {
            Some(reply) => Poll::Ready(reply),
            None => Poll::Pending,
        }
    }

    fn forget(&self, key: usize) {
        let (dropped, freed) = self.lock().queue.forget(key);
        wake(freed);
        drop(dropped);
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
