//! The state that the handles, the response futures and the worker share.

use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use tower_readiness::event;
use tower_readiness::ignore_poison;
use tower_readiness::trace::Span;

use crate::driver::{Drive, Driver};
use crate::error::Failure;
use crate::future::ResponseFuture;
use crate::queue::{Job, Queue};
use crate::runtime::Runtime;
use crate::service_lock::{ServiceLock, Unlocked};
use crate::slots::{Slot, Waiters};
use crate::sync::{AtomicUsize, Mutex, MutexGuard, Ordering};
use crate::ticket::{Replies, Ticket};
use crate::worker_waker::WorkerWaker;

/// While nothing is queued and the service is not in use, a caller calls the service directly. Otherwise it queues the
/// request, and the thread that holds the service serves the queue before it releases the service. The worker serves the
/// queue when the service becomes ready after it was pending, and when the queue is too long for one caller.
pub(crate) struct Shared<Req, F> {
    pub(crate) service_lock: ServiceLock<Driver<Req, F>>,
    /// The runtime of the worker, once the worker has been polled.
    runtime: OnceLock<Runtime>,
    handles: AtomicUsize,
    pub(crate) worker: Arc<WorkerWaker>,
    /// `worker` as a [`Waker`], with which the service is polled.
    waker: Waker,
    state: Mutex<State<Req, F>>,
    /// Erases the type of the requests.
    into_replies: fn(Arc<Self>) -> Arc<dyn Replies<ResponseFuture<F>>>,
}

#[derive(Debug)]
pub(crate) struct State<Req, F> {
    pub(crate) queue: Queue<Req, F>,
    waiters: Waiters,
    pub(crate) closed: Option<Failure>,
}

/// What the worker must do when the queue is empty.
pub(crate) enum Idle {
    Nothing,
    /// All slots are taken, and a handle waits for one, or was rejected for want of one.
    Blocked,
    /// No handle is left that could queue a request.
    Finished,
}

// No method wakes a task or drops a user's value while it holds the lock of the state, as both may run any code. The service
// is called and polled without that lock.
impl<Req, F> Shared<Req, F> {
    /// Creates the state for one handle.
    pub(crate) fn new(service: Box<dyn Drive<Req, F>>, bound: usize) -> Self
    where
        Req: Send + 'static,
        F: Send + 'static,
    {
        let worker = Arc::new(WorkerWaker::new());
        let driver = Driver {
            service: Some(service),
            pending: false,
        };
        Self {
            service_lock: ServiceLock::new(bound, driver),
            runtime: OnceLock::new(),
            handles: AtomicUsize::new(1),
            waker: Arc::clone(&worker).into(),
            worker,
            state: Mutex::new(State {
                queue: Queue::new(),
                waiters: Waiters::default(),
                closed: None,
            }),
            into_replies: |shared| shared,
        }
    }

    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State<Req, F>> {
        // Nothing that panics runs under the lock.
        ignore_poison(self.state.lock())
    }

    // ## Slots

    /// Makes a handle without a slot ready if nothing is queued and no handle waits. This reserves nothing, and is checked again
    /// at each poll.
    #[inline]
    pub(crate) fn try_bypass(&self, slot: &mut Slot) -> bool {
        let bypass = matches!(slot, Slot::None | Slot::Bypass)
            && self.service_lock.is_open()
            && self.runtime.get().is_some();
        if bypass {
            *slot = Slot::Bypass;
        }
        bypass
    }

    #[inline]
    pub(crate) fn poll_slot(
        &self,
        slot: &mut Slot,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        match slot {
            Slot::Reserved if !self.service_lock.is_closed() => return Poll::Ready(Ok(())),
            Slot::None | Slot::Bypass if self.service_lock.try_take_slot() => {
                *slot = Slot::Reserved;
                return Poll::Ready(Ok(()));
            }
            _ => {}
        }
        self.wait_for_slot(slot, cx)
    }

    #[cold]
    fn wait_for_slot(&self, slot: &mut Slot, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let mut state = self.lock();
        if let Some(failure) = &state.closed {
            return Poll::Ready(Err(failure.clone()));
        }
        let reserved = state.waiters.reserve(&self.service_lock, slot, cx.waker());
        // Idle handles may hold all slots. The worker detects this.
        let blocked = !reserved && state.queue.is_empty();
        drop(state);
        if blocked {
            self.worker.wake_worker();
        }
        if reserved {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    #[inline]
    fn release_slot(&self) {
        if self.service_lock.release_slot() {
            self.grant_slots();
        }
    }

    #[cold]
    fn grant_slots(&self) {
        loop {
            let next = self.lock().waiters.grant_next(&self.service_lock);
            match next {
                Some(waker) => waker.wake(),
                None => return,
            }
        }
    }

    /// Releases the handle's slot, or stops its wait for one.
    pub(crate) fn release(&self, slot: &mut Slot) {
        let had_slot = match std::mem::replace(slot, Slot::None) {
            Slot::None | Slot::Bypass => false,
            Slot::Reserved => true,
            Slot::Waiting(key) => self.lock().waiters.remove(key),
        };
        if had_slot {
            self.release_slot();
        }
    }

    /// Grants a slot beyond the bound to the first waiting handle, or to the next one that polls.
    pub(crate) fn overcommit(&self) {
        let next = self.lock().waiters.overcommit(&self.service_lock);
        wake(next);
    }

    // ## Handles

    pub(crate) fn add_handle(&self) {
        self.handles.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn remove_handle(&self, slot: &mut Slot) {
        self.release(slot);
        if self.handles.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.worker.wake_worker();
        }
    }

    // ## Requests

    /// Calls the service with the request of a ready handle, and takes the request, if nothing is queued, the service is
    /// not in use, and it is ready.
    #[inline]
    pub(crate) fn call(
        &self,
        request: &mut Option<Req>,
        slot: &Slot,
        response: &mut ResponseFuture<F>,
    ) {
        if !self.in_worker_runtime() {
            return;
        }
        let Some(mut guard) = self.service_lock.try_lock() else {
            return;
        };
        let called = guard.with(|driver| driver.poll_call(&self.waker, request, response));
        if let Err(failure) = called {
            // Before another caller can lock the service.
            self.close(&failure);
            self.after(guard.unlock(0));
            drop(request.take());
            *response = ResponseFuture::failed(failure);
            return;
        }
        let releases_slot = matches!(slot, Slot::Reserved) && request.is_none();
        let unlocked = guard.unlock(releases_slot.into());
        if !unlocked.nothing_to_do() {
            self.after(unlocked);
            if let Some(guard) = self.service_lock.try_lock_to_serve() {
                self.serve(guard);
            }
        }
    }

    /// Returns whether callers may call the service in this runtime: see [`Runtime`].
    fn in_worker_runtime(&self) -> bool {
        self.runtime.get() == Some(&Runtime::here())
    }

    /// Queues the request of a ready handle.
    #[cold]
    pub(crate) fn push(
        self: &Arc<Self>,
        request: Req,
        slot: &Slot,
    ) -> Result<Ticket<ResponseFuture<F>>, Failure> {
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
        if !matches!(slot, Slot::Reserved) {
            state.waiters.take_or_overcommit(&self.service_lock);
        }
        if state.queue.is_empty() {
            self.service_lock.set_queued(true);
        }
        let key = state.queue.push(job);
        drop(state);
        if !self.in_worker_runtime() {
            self.worker.wake_worker();
        } else if let Some(guard) = self.service_lock.try_lock_to_serve() {
            self.service_lock.spin_more();
            self.serve(guard);
        }
        Ok(Ticket::new((self.into_replies)(Arc::clone(self)), key))
    }

    /// Does what the thread that has unlocked the service must do, except to serve the queue.
    pub(crate) fn after(&self, unlocked: Unlocked) {
        if unlocked.notify_worker() {
            if self.service_lock.is_closed() {
                self.drop_service();
            } else {
                self.worker.wake_worker();
            }
        }
        if unlocked.has_waiters() {
            self.grant_slots();
        }
    }

    // ## The worker

    /// Records the runtime in which the worker runs.
    pub(crate) fn set_runtime(&self) {
        self.runtime.get_or_init(Runtime::here);
    }

    pub(crate) fn idle(&self) -> Idle {
        let state = self.lock();
        if !state.queue.is_empty() {
            // The thread that unlocks the service sees the flag of the queue.
            Idle::Nothing
        } else if self.handles.load(Ordering::Acquire) == 0 {
            Idle::Finished
        } else if state.waiters.any_wanted() {
            Idle::Blocked
        } else {
            Idle::Nothing
        }
    }

    /// Closes the buffer: fails all queued and later requests with `failure`, and drops the service. Further calls have no
    /// effect.
    pub(crate) fn close(&self, failure: &Failure) {
        let mut state = self.lock();
        if state.closed.is_some() {
            return;
        }
        if let Failure::Service(error) = failure {
            event!(
                DEBUG,
                error = error as &dyn std::error::Error,
                "closing the buffer"
            );
        }
        state.closed = Some(failure.clone());
        self.service_lock.close();
        let mut wakers = state.waiters.clear();
        let mut jobs = Vec::new();
        while let Some((key, job, _)) = state.queue.pop() {
            jobs.push(job);
            let failed = ResponseFuture::failed(failure.clone());
            wakers.extend(state.queue.reply(key, failed).ok().flatten());
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        drop(jobs);
        self.drop_service();
        // The worker ends.
        self.worker.wake_worker();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.service_lock.is_closed()
    }

    /// Drops the service, or leaves that to the thread that holds the lock.
    fn drop_service(&self) {
        if let Some(mut guard) = self.service_lock.lock_or_notify() {
            let service = guard.with(|driver| driver.service.take());
            self.after(guard.unlock(0));
            drop(service);
        }
    }
}

impl<Req: Send, F: Send> Replies<ResponseFuture<F>> for Shared<Req, F> {
    fn poll_reply(&self, key: usize, cx: &mut Context<'_>) -> Poll<ResponseFuture<F>> {
        match self.lock().queue.take_reply(key, cx.waker()) {
            Some(reply) => Poll::Ready(reply),
            None => Poll::Pending,
        }
    }

    fn forget(&self, key: usize) {
        let mut state = self.lock();
        let was_empty = state.queue.is_empty();
        let (dropped, releases_slot) = state.queue.forget(key);
        if state.queue.is_empty() && !was_empty {
            self.service_lock.set_queued(false);
        }
        drop(state);
        if releases_slot {
            self.release_slot();
        }
        drop(dropped);
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
