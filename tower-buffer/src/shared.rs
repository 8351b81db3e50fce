//! What the handles, the response futures and the worker share.

use std::sync::{Arc, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use tracing::Span;

use crate::driver::Drive;
use crate::error::Failure;
use crate::future::ResponseFuture;
use crate::gate::{Gate, Inside, Left};
use crate::home::Home;
use crate::places::{Place, Waiters};
use crate::queue::{Job, Queue};
use crate::sync::{AtomicUsize, Mutex, MutexGuard, Ordering};
use crate::wakes::Wakes;

/// A request goes one of two ways. As long as nothing is queued and the service is not in use, the caller calls it
/// himself. Otherwise the request waits in the queue for the worker.
pub(crate) struct Shared<Req, F> {
    gate: Gate<Driver<Req, F>>,
    /// Where the worker runs, as soon as it does.
    home: OnceLock<Home>,
    handles: AtomicUsize,
    pub(crate) wakes: Arc<Wakes>,
    /// `wakes`, for the service.
    waker: Waker,
    state: Mutex<State<Req, F>>,
}

/// The service, and what may be done with it.
pub(crate) struct Driver<Req, F> {
    /// `None` when it has failed, or the buffer is closed.
    pub(crate) service: Option<Box<dyn Drive<Req, F>>>,
    /// Whether it has been ready since it was last called.
    pub(crate) ready: bool,
}

#[derive(Debug)]
struct State<Req, F> {
    queue: Queue<Req, F>,
    waiters: Waiters,
    closed: Option<Failure>,
}

/// What the worker finds.
pub(crate) enum Next<Req> {
    Job(usize, Job<Req>),
    /// Nothing is queued, or nothing can be done about it.
    Empty,
    /// Nothing is queued, but all places are taken, and somebody waits for one or went away without.
    Blocked,
    /// Nothing is queued, and nobody is left to change that.
    Finished,
}

// No method wakes anybody or drops anything of the user's while it has the lock of the state: both may run any code.
// The service is used without that lock, and nobody waits for it.
impl<Req, F> Shared<Req, F> {
    /// With one handle.
    pub(crate) fn new(service: Box<dyn Drive<Req, F>>, bound: usize) -> Self {
        let wakes = Arc::new(Wakes::new());
        Self {
            gate: Gate::new(
                bound,
                Driver {
                    service: Some(service),
                    ready: false,
                },
            ),
            home: OnceLock::new(),
            handles: AtomicUsize::new(1),
            waker: Arc::clone(&wakes).into(),
            wakes,
            state: Mutex::new(State {
                queue: Queue::new(),
                waiters: Waiters::default(),
                closed: None,
            }),
        }
    }

    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    // ## The handles' side

    #[inline]
    pub(crate) fn poll_place(
        &self,
        place: &mut Place,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        match place {
            // A promise is as good as its time: it is made anew.
            Place::None | Place::Promised if self.gate.is_open() && self.home.get().is_some() => {
                *place = Place::Promised;
                return Poll::Ready(Ok(()));
            }
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

    /// Calls the service right here with the request of a handle that has a place, and takes it, if nobody is before it:
    /// the worker takes requests from the queue only when it is inside.
    #[inline]
    pub(crate) fn call(
        &self,
        request: &mut Option<Req>,
        place: &Place,
        response: &mut ResponseFuture<F>,
    ) {
        if self.home.get() != Some(&Home::here()) {
            return;
        }
        let Some(mut inside) = self.gate.try_enter() else {
            return;
        };
        let called = inside.with(|driver| {
            driver.ready = false;
            match &mut driver.service {
                Some(service) => {
                    service.poll_call(&mut Context::from_waker(&self.waker), request, response)
                }
                None => Ok(()),
            }
        });
        if let Err(failure) = called {
            let service = inside.with(|driver| driver.service.take());
            self.left(inside.leave());
            self.close(&failure);
            drop((service, request.take()));
            *response = ResponseFuture::failed(failure);
            return;
        }
        let left = match place {
            Place::Reserved if request.is_none() => inside.leave_with_place(),
            _ => inside.leave(),
        };
        if left.wanted || left.look {
            self.left(left);
        }
    }

    /// Queues the request of a handle that has a place. Yields the key of its reply.
    #[cold]
    pub(crate) fn push(&self, request: Req, place: &Place) -> Result<usize, Failure> {
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
        let key = state.queue.push(job);
        self.gate.set_queued(true);
        drop(state);
        self.wakes.wake_worker();
        Ok(key)
    }

    #[inline]
    fn free_place(&self) {
        if self.gate.give_back() {
            self.serve();
        }
    }

    #[cold]
    fn serve(&self) {
        loop {
            let next = self.lock().waiters.serve(&self.gate);
            match next {
                Some(waker) => waker.wake(),
                None => return,
            }
        }
    }

    pub(crate) fn add_handle(&self) {
        self.handles.fetch_add(1, Ordering::Relaxed);
    }

    /// The handle has no place any more, and waits for none.
    pub(crate) fn leave_place(&self, place: &mut Place) {
        let had_place = match std::mem::replace(place, Place::None) {
            Place::None | Place::Promised => false,
            Place::Reserved => true,
            Place::Waiting(number) => self.lock().waiters.leave(number),
        };
        if had_place {
            self.free_place();
        }
    }

    pub(crate) fn remove_handle(&self, place: &mut Place) {
        self.leave_place(place);
        if self.handles.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.wakes.wake_worker();
        }
    }

    // ## The worker's side

    /// The worker runs here.
    pub(crate) fn set_home(&self) {
        self.home.get_or_init(Home::here);
    }

    /// `None` while a caller is inside, who wakes the worker when he leaves.
    pub(crate) fn want(&self) -> Option<Inside<'_, Driver<Req, F>>> {
        self.gate.want()
    }

    #[cold]
    pub(crate) fn left(&self, left: Left) {
        if left.wanted {
            if self.gate.is_closed() {
                self.drop_service();
            } else {
                self.wakes.wake_worker();
            }
        }
        if left.look {
            self.serve();
        }
    }

    /// Drops the service, or has whoever is inside do so.
    fn drop_service(&self) {
        if let Some(mut inside) = self.gate.want() {
            let service = inside.with(|driver| driver.service.take());
            self.left(inside.leave());
            drop(service);
        }
    }

    /// The span of the first request, without taking that.
    pub(crate) fn first_span(&self) -> Option<Span> {
        self.lock().queue.first_span().cloned()
    }

    /// `ready`: whether the service is.
    pub(crate) fn next(&self, ready: bool) -> Next<Req> {
        let mut state = self.lock();
        if state.queue.is_empty() {
            return if self.handles.load(Ordering::Acquire) == 0 {
                Next::Finished
            } else if state.waiters.any_wanted() {
                Next::Blocked
            } else {
                Next::Empty
            };
        }
        let (next, frees) = if ready {
            let (key, job, frees) = state.queue.pop().expect("it is not empty");
            self.gate.set_queued(!state.queue.is_empty());
            (Next::Job(key, job), frees)
        } else {
            (Next::Empty, state.queue.take_in_hand())
        };
        drop(state);
        if frees {
            self.free_place();
        }
        next
    }

    /// Gives a place beyond the bound to the first who waits for one.
    pub(crate) fn lend(&self) {
        let next = self.lock().waiters.lend(&self.gate);
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

    /// From now on everything fails, and there is no service. Only the first failure counts.
    pub(crate) fn close(&self, failure: &Failure) {
        let mut state = self.lock();
        if state.closed.is_some() {
            return;
        }
        state.closed = Some(failure.clone());
        self.gate.close();
        let waiting = state.waiters.take();
        let (mut jobs, mut callers) = (Vec::new(), Vec::new());
        while let Some((key, job, _)) = state.queue.pop() {
            jobs.push(job);
            callers.extend(state.queue.reply(key, Err(failure.clone())).ok().flatten());
        }
        drop(state);
        for waker in waiting.into_values().chain(callers) {
            waker.wake();
        }
        drop(jobs);
        self.drop_service();
        // It has nothing left to do.
        self.wakes.wake_worker();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.gate.is_closed()
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
        let mut state = self.lock();
        let (dropped, frees) = state.queue.forget(key);
        self.gate.set_queued(!state.queue.is_empty());
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
