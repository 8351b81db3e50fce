//! A turn: one period in which a thread holds the service and serves the queue.

use crate::driver::{Driver, caught};
use crate::error::Failure;
use crate::future::ResponseFuture;
use crate::queue::Job;
use crate::service_lock::{Guard, Unlocked};
use crate::shared::Shared;
use crate::wake_list::WakeList;

/// Exclusive access to the service, to call it with the queued requests. Callers are woken at the end, when the service can
/// be locked again.
pub(crate) struct Turn<'a, Req, F> {
    shared: &'a Shared<Req, F>,
    guard: Guard<'a, Driver<Req, F>>,
    /// The number of slots to release.
    released: usize,
    wakes: WakeList,
}

/// How serving the queue ended.
pub(crate) enum Served {
    /// The queue is empty.
    All,
    /// Requests are left, and the turn's calls are used up.
    Some,
    /// The service is not ready. It wakes the worker when it is.
    Pending,
    /// The service has failed, and the buffer is closed.
    Failed,
}

/// The key of a request, and its reply.
type Replied<F> = (usize, ResponseFuture<F>);

impl<Req, F> Shared<Req, F> {
    /// Serves the queue until it is empty, the service is pending, or a turn's calls are used up.
    #[cold]
    pub(crate) fn serve<'a>(&'a self, mut guard: Guard<'a, Driver<Req, F>>) {
        let mut calls = Turn::<Req, F>::CALLS;
        loop {
            let mut turn = Turn::new(self, guard);
            let served = turn.serve(&mut calls);
            let unlocked = turn.end();
            self.after(unlocked);
            match served {
                // Callers that queued a request while this thread held the lock rely on it to serve them.
                Served::All if unlocked.queued() => match self.service_lock.try_lock_to_serve() {
                    Some(again) => guard = again,
                    None => return,
                },
                Served::All | Served::Pending | Served::Failed => return,
                Served::Some => return self.worker.wake_worker(),
            }
        }
    }
}

impl<'a, Req, F> Turn<'a, Req, F> {
    /// The maximum number of calls in a turn. It bounds the time that a caller works for others.
    pub(crate) const CALLS: usize = WakeList::CAPACITY;

    pub(crate) fn new(shared: &'a Shared<Req, F>, guard: Guard<'a, Driver<Req, F>>) -> Self {
        Self {
            shared,
            guard,
            released: 0,
            wakes: WakeList::default(),
        }
    }

    /// Unlocks the service, and wakes the callers whose requests it has been called with.
    pub(crate) fn end(self) -> Unlocked {
        self.guard.unlock(self.released)
    }

    /// Calls the service with the queued requests in their order.
    pub(crate) fn serve(&mut self, calls: &mut usize) -> Served {
        if !self.shared.service_lock.is_queued() {
            return Served::All;
        }
        let pending = self.guard.with(|driver| driver.pending);
        if pending && !self.shared.worker.take_service_wake() {
            self.released += usize::from(self.shared.lock().queue.release_first_slot());
            return Served::Pending;
        }
        // The wake-up is consumed: if the queue is empty by now, the next turn must poll the service.
        self.guard.with(|driver| driver.pending = false);
        let mut replied = None;
        loop {
            let (next, empty) = self.next(replied.take(), *calls > 0);
            let Some((key, job)) = next else {
                return if empty { Served::All } else { Served::Some };
            };
            *calls -= 1;
            let mut request = Some(job.request);
            let mut response = ResponseFuture::failed(Failure::Closed);
            let called = job.span.in_scope(|| {
                let waker = self.shared.waker();
                self.guard
                    .with(|driver| driver.poll_call(waker, &mut request, &mut response))
            });
            match (called, request) {
                (Ok(()), None) => replied = Some((key, response)),
                (Ok(()), Some(request)) => {
                    let span = job.span;
                    self.put_back(key, Job { request, span });
                    return Served::Pending;
                }
                (Err(failure), request) => {
                    // Before another caller can lock the service.
                    self.shared.close(&failure);
                    self.next(Some((key, ResponseFuture::failed(failure))), false);
                    drop(request);
                    return Served::Failed;
                }
            }
        }
    }

    /// Lets the service make progress while the queue is empty.
    pub(crate) fn drive(&mut self) -> Result<(), ()> {
        let waker = self.shared.waker();
        self.guard
            .with(|driver| driver.drive(waker))
            .map_err(|failure| self.shared.close(&failure))
    }

    /// Stores the reply to the last request, and takes the next one if `more` is set. Also returns whether the queue is empty
    /// now.
    fn next(
        &mut self,
        replied: Option<Replied<F>>,
        more: bool,
    ) -> (Option<(usize, Job<Req>)>, bool) {
        let mut state = self.shared.lock();
        let unwanted = replied.and_then(|(key, response)| match state.queue.reply(key, response) {
            Ok(caller) => {
                if let Some(caller) = caller {
                    self.wakes.push(caller);
                }
                None
            }
            Err(unwanted) => Some(unwanted),
        });
        let next = if more { state.queue.pop() } else { None };
        let empty = state.queue.is_empty();
        if empty && next.is_some() {
            self.shared.service_lock.set_queued(false);
        }
        drop(state);
        let next = next.map(|(key, job, releases_slot)| {
            self.released += usize::from(releases_slot);
            (key, job)
        });
        if let Err(failure) = caught(|| {
            drop(unwanted);
            Ok(())
        }) {
            self.shared.close(&failure);
            if let Some((key, job)) = next {
                self.next(Some((key, ResponseFuture::failed(failure))), false);
                drop(job);
            }
            return (None, true);
        }
        (next, empty)
    }

    /// Returns a request to the queue, as the service is not ready for it.
    fn put_back(&mut self, key: usize, job: Job<Req>) {
        let mut state = self.shared.lock();
        if let Some(failure) = state.closed.clone() {
            drop(state);
            self.next(Some((key, ResponseFuture::failed(failure))), false);
            drop(job);
            return;
        }
        let (unwanted, releases_slot) = state.queue.put_back(key, job);
        if !state.queue.is_empty() {
            self.shared.service_lock.set_queued(true);
        }
        drop(state);
        self.released += usize::from(releases_slot);
        drop(unwanted);
    }
}
