//! A turn with the service.

use crate::driver::{Driver, caught};
use crate::error::Failure;
use crate::future::ResponseFuture;
use crate::gate::{Inside, Left};
use crate::queue::Job;
use crate::shared::Shared;
use crate::wake_list::WakeList;

/// Exclusive use of the service, to call it with the queued requests. Callers are woken at the end, when they can enter.
pub(crate) struct Turn<'a, Req, F> {
    shared: &'a Shared<Req, F>,
    inside: Inside<'a, Driver<Req, F>>,
    /// Places to give back.
    freed: usize,
    wakes: WakeList,
}

/// How serving the queue ended.
pub(crate) enum Served {
    /// Nothing is queued.
    All,
    /// There are more requests than calls were left.
    Some,
    /// The service is not ready. It wakes the worker when it is.
    Pending,
    /// The service has failed, and the buffer is closed.
    Failed,
}

/// A request that has been called, or has failed.
type Replied<F> = (usize, ResponseFuture<F>);

impl<Req, F> Shared<Req, F> {
    /// Serves the queue until it is empty, the service is pending, or a turn's calls are used up.
    #[cold]
    pub(crate) fn serve<'a>(&'a self, mut inside: Inside<'a, Driver<Req, F>>) {
        let mut calls = Turn::<Req, F>::CALLS;
        loop {
            let mut turn = Turn::new(self, inside);
            let served = turn.serve(&mut calls);
            let left = turn.end();
            self.after(left);
            match served {
                // Callers that queued while this thread was still inside rely on it.
                Served::All if left.queued() => match self.gate.try_enter_to_serve() {
                    Some(again) => inside = again,
                    None => return,
                },
                Served::All | Served::Pending | Served::Failed => return,
                Served::Some => return self.wakes.wake_worker(),
            }
        }
    }
}

impl<'a, Req, F> Turn<'a, Req, F> {
    /// The maximum number of calls in a turn, so that no caller works for others forever.
    pub(crate) const CALLS: usize = WakeList::CAPACITY;

    pub(crate) fn new(shared: &'a Shared<Req, F>, inside: Inside<'a, Driver<Req, F>>) -> Self {
        Self {
            shared,
            inside,
            freed: 0,
            wakes: WakeList::default(),
        }
    }

    /// Leaves the service to the others, and wakes those whose requests have been called.
    pub(crate) fn end(self) -> Left {
        self.inside.leave(self.freed)
    }

    /// Calls the service with what is queued, in its order.
    pub(crate) fn serve(&mut self, calls: &mut usize) -> Served {
        if !self.shared.gate.is_queued() {
            return Served::All;
        }
        let pending = self.inside.with(|driver| driver.pending);
        if pending && !self.shared.wakes.take() {
            self.freed += usize::from(self.shared.lock().queue.take_in_hand());
            return Served::Pending;
        }
        // The wake-up is consumed: if the queue is empty by now, the next turn must poll the service.
        self.inside.with(|driver| driver.pending = false);
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
                self.inside
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
                    // Before any other caller enters.
                    self.shared.close(&failure);
                    self.next(Some((key, ResponseFuture::failed(failure))), false);
                    drop(request);
                    return Served::Failed;
                }
            }
        }
    }

    /// Lets the service make progress while nothing is queued.
    pub(crate) fn drive(&mut self) -> Result<(), ()> {
        let waker = self.shared.waker();
        self.inside
            .with(|driver| driver.drive(waker))
            .map_err(|failure| self.shared.close(&failure))
    }

    /// Replies to the last request, and takes the next, unless there is none or it is not to be. Also tells whether none is
    /// queued now.
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
            self.shared.gate.set_queued(false);
        }
        drop(state);
        let next = next.map(|(key, job, frees)| {
            self.freed += usize::from(frees);
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

    /// The service is not ready for the request.
    fn put_back(&mut self, key: usize, job: Job<Req>) {
        let mut state = self.shared.lock();
        if let Some(failure) = state.closed.clone() {
            drop(state);
            self.next(Some((key, ResponseFuture::failed(failure))), false);
            drop(job);
            return;
        }
        let (unwanted, frees) = state.queue.put_back(key, job);
        if !state.queue.is_empty() {
            self.shared.gate.set_queued(true);
        }
        drop(state);
        self.freed += usize::from(frees);
        drop(unwanted);
    }
}
