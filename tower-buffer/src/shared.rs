//! What the handles, the response futures and the worker share.

use std::sync::{Arc, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use tower_readiness::event;
use tower_readiness::trace::Span;

use crate::driver::{Drive, Driver};
use crate::error::Failure;
use crate::future::ResponseFuture;
use crate::gate::{Gate, Left};
use crate::home::Home;
use crate::places::{Place, Waiters};
use crate::queue::{Job, Queue};
use crate::sync::{AtomicUsize, Mutex, MutexGuard, Ordering};
use crate::ticket::{Replies, Ticket};
use crate::wakes::Wakes;

/// A request goes one of two ways. While nothing is queued and the service is not in use, the caller calls the service
/// directly. Otherwise it queues the request, and the thread that uses the service serves the queue before it leaves. The
/// worker does so when the service becomes ready after it was pending, and when the queue is too long for one caller.
pub(crate) struct Shared<Req, F> {
    pub(crate) gate: Gate<Driver<Req, F>>,
    /// Where the worker runs, as soon as it does.
    home: OnceLock<Home>,
    handles: AtomicUsize,
    pub(crate) wakes: Arc<Wakes>,
    /// `wakes`, for the service.
    waker: Waker,
    state: Mutex<State<Req, F>>,
    /// Forgets the type of the requests.
    into_replies: fn(Arc<Self>) -> Arc<dyn Replies<ResponseFuture<F>>>,
}

#[derive(Debug)]
pub(crate) struct State<Req, F> {
    pub(crate) queue: Queue<Req, F>,
    waiters: Waiters,
    pub(crate) closed: Option<Failure>,
}

/// What there is to do when the queue has been served.
pub(crate) enum Idle {
    Nothing,
    /// All places are taken, and a handle waits for one or left without.
    Blocked,
    /// No handle is left to queue a request.
    Finished,
}

// No method wakes a task or drops a user's value while it holds the lock of the state: both may run any code. The service
// is used without that lock.
impl<Req, F> Shared<Req, F> {
    /// With one handle.
    pub(crate) fn new(service: Box<dyn Drive<Req, F>>, bound: usize) -> Self
    where
        Req: Send + 'static,
        F: Send + 'static,
    {
        let wakes = Arc::new(Wakes::new());
        let driver = Driver {
            service: Some(service),
            pending: false,
        };
        Self {
            gate: Gate::new(bound, driver),
            home: OnceLock::new(),
            handles: AtomicUsize::new(1),
            waker: Arc::clone(&wakes).into(),
            wakes,
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
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // ## Places

    /// Promises a place to a handle that has none, if nothing is in the way. A promise is as good as its time: it is made
    /// anew. It keeps nothing from others.
    #[inline]
    pub(crate) fn promise(&self, place: &mut Place) -> bool {
        let promised = matches!(place, Place::None | Place::Promised)
            && self.gate.is_open()
            && self.home.get().is_some();
        if promised {
            *place = Place::Promised;
        }
        promised
    }

    #[inline]
    pub(crate) fn poll_place(
        &self,
        place: &mut Place,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        match place {
            Place::Reserved if !self.gate.is_closed() => return Poll::Ready(Ok(())),
            Place::None | Place::Promised if self.gate.try_take() => {
                *place = Place::Reserved;
                return Poll::Ready(Ok(()));
            }
            _ => {}
        }
        self.wait_for_place(place, cx)
    }

    #[cold]
    fn wait_for_place(&self, place: &mut Place, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let mut state = self.lock();
        if let Some(failure) = &state.closed {
            return Poll::Ready(Err(failure.clone()));
        }
        let reserved = state.waiters.reserve(&self.gate, place, cx.waker());
        // Perhaps all places are with handles that do nothing, which the worker finds out.
        let blocked = !reserved && state.queue.is_empty();
        drop(state);
        if blocked {
            self.wakes.wake_worker();
        }
        if reserved {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    #[inline]
    fn free_place(&self) {
        if self.gate.give_back() {
            self.grant_places();
        }
    }

    #[cold]
    fn grant_places(&self) {
        loop {
            let next = self.lock().waiters.serve(&self.gate);
            match next {
                Some(waker) => waker.wake(),
                None => return,
            }
        }
    }

    /// The handle has no place any more, and waits for none.
    pub(crate) fn leave_place(&self, place: &mut Place) {
        let had_place = match std::mem::replace(place, Place::None) {
            Place::None | Place::Promised => false,
            Place::Reserved => true,
            Place::Waiting(key) => self.lock().waiters.leave(key),
        };
        if had_place {
            self.free_place();
        }
    }

    /// Grants a place beyond the bound to the first waiting handle.
    pub(crate) fn lend(&self) {
        let next = self.lock().waiters.lend(&self.gate);
        wake(next);
    }

    // ## Handles

    pub(crate) fn add_handle(&self) {
        self.handles.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn remove_handle(&self, place: &mut Place) {
        self.leave_place(place);
        if self.handles.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.wakes.wake_worker();
        }
    }

    // ## Requests

    /// Calls the service with the request of a handle that has a place, and takes the request, if nothing is queued,
    /// the service is not in use, and it is ready.
    #[inline]
    pub(crate) fn call(
        &self,
        request: &mut Option<Req>,
        place: &Place,
        response: &mut ResponseFuture<F>,
    ) {
        if !self.is_home() {
            return;
        }
        let Some(mut inside) = self.gate.try_enter() else {
            return;
        };
        let called = inside.with(|driver| driver.poll_call(&self.waker, request, response));
        if let Err(failure) = called {
            // Before any other caller enters.
            self.close(&failure);
            self.after(inside.leave(0));
            drop(request.take());
            *response = ResponseFuture::failed(failure);
            return;
        }
        let frees = matches!(place, Place::Reserved) && request.is_none();
        let left = inside.leave(frees.into());
        if !left.nothing_to_do() {
            self.after(left);
            if let Some(inside) = self.gate.try_enter_to_serve() {
                self.serve(inside);
            }
        }
    }

    /// Whether callers may call the service here: see [`Home`].
    fn is_home(&self) -> bool {
        self.home.get() == Some(&Home::here())
    }

    /// Queues the request of a handle that has a place.
    #[cold]
    pub(crate) fn push(
        self: &Arc<Self>,
        request: Req,
        place: &Place,
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
        if !matches!(place, Place::Reserved) {
            state.waiters.redeem(&self.gate);
        }
        if state.queue.is_empty() {
            self.gate.set_queued(true);
        }
        let key = state.queue.push(job);
        drop(state);
        if !self.is_home() {
            self.wakes.wake_worker();
        } else if let Some(inside) = self.gate.try_enter_to_serve() {
            self.gate.spin_more();
            self.serve(inside);
        }
        Ok(Ticket::new((self.into_replies)(Arc::clone(self)), key))
    }

    /// Does what leaving the gate asks for, except serving the queue.
    pub(crate) fn after(&self, left: Left) {
        if left.wanted() {
            if self.gate.is_closed() {
                self.drop_service();
            } else {
                self.wakes.wake_worker();
            }
        }
        if left.look() {
            self.grant_places();
        }
    }

    // ## The worker

    /// The worker runs here.
    pub(crate) fn set_home(&self) {
        self.home.get_or_init(Home::here);
    }

    pub(crate) fn idle(&self) -> Idle {
        let state = self.lock();
        if !state.queue.is_empty() {
            // The gate tells this to the thread that leaves.
            Idle::Nothing
        } else if self.handles.load(Ordering::Acquire) == 0 {
            Idle::Finished
        } else if state.waiters.any_wanted() {
            Idle::Blocked
        } else {
            Idle::Nothing
        }
    }

    /// From now on everything fails, and there is no service. Only the first failure counts.
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
        self.gate.close();
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
        // It has nothing left to do.
        self.wakes.wake_worker();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.gate.is_closed()
    }

    /// Drops the service, or has the thread inside do so.
    fn drop_service(&self) {
        if let Some(mut inside) = self.gate.want() {
            let service = inside.with(|driver| driver.service.take());
            self.after(inside.leave(0));
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
        let (dropped, frees) = state.queue.forget(key);
        if state.queue.is_empty() && !was_empty {
            self.gate.set_queued(false);
        }
        drop(state);
        if frees {
            self.free_place();
        }
        drop(dropped);
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
