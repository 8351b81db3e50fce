//! Callers and the worker on the real queue, in every order of their steps.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use loom::thread;
use tower_service::Service;

use crate::error::Failure;
use crate::future::ResponseFuture;
use crate::places::Place;
use crate::sync::{AtomicUsize, Ordering};
use crate::ticket::Ticket;
use crate::turn::{Served, Turn};

type Response = Ready<Result<u32, Infallible>>;
type Shared = crate::shared::Shared<u32, Response>;

/// Answers with the request. The first `pending` polls are pending, and wake the task that polled.
struct Echo {
    pending: u32,
    calls: Arc<AtomicUsize>,
}

impl Service<u32> for Echo {
    type Response = u32;
    type Error = Infallible;
    type Future = Ready<Result<u32, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if self.pending == 0 {
            return Poll::Ready(Ok(()));
        }
        self.pending -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn call(&mut self, request: u32) -> Self::Future {
        self.calls.fetch_add(1, Ordering::Relaxed);
        ready(Ok(request))
    }
}

fn shared(pending: u32) -> (Arc<Shared>, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let service = Echo {
        pending,
        calls: Arc::clone(&calls),
    };
    let shared = Shared::new(Box::new(service), 2);
    shared.set_home();
    (Arc::new(shared), calls)
}

/// Yields a ticket if the request was queued.
fn send(shared: &Arc<Shared>, request: u32) -> Option<Ticket<ResponseFuture<Response>>> {
    let mut response = ResponseFuture::failed(Failure::Closed);
    let mut request = Some(request);
    let mut place = Place::None;
    if !shared.promise(&mut place) {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(shared.poll_place(&mut place, &mut cx).is_ready());
    }
    shared.call(&mut request, &place, &mut response);
    request.map(|request| shared.push(request, &place).unwrap())
}

struct Woken(AtomicUsize);

impl std::task::Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

/// A request that is queued while another caller has the service is served by that caller, without the worker.
#[test]
fn what_is_queued_is_served_by_whoever_has_the_service() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(4);
    model.check(|| {
        let (shared, calls) = shared(0);
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || send(&shared, 3))
        };
        let mine = [1, 2].map(|request| send(&shared, request));
        let theirs = other.join().unwrap();
        assert_eq!(calls.load(Ordering::Relaxed), 3);
        for ticket in mine.into_iter().chain([theirs]).flatten() {
            let mut cx = Context::from_waker(Waker::noop());
            assert!(ticket.poll_reply(&mut cx).is_ready());
        }
        assert!(!shared.gate.is_queued() && shared.gate.is_open());
        assert!(shared.gate.try_take() && shared.gate.try_take() && !shared.gate.try_take());
    });
}

/// A request for which the service was not ready is served when the service wakes the worker.
#[test]
fn the_worker_is_woken_for_what_the_service_was_not_ready_for() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let (shared, calls) = shared(1);
        let worker = Arc::new(Woken(AtomicUsize::new(0)));
        shared.wakes.set_task(&Arc::clone(&worker).into());
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || send(&shared, 2))
        };
        let _tickets = (send(&shared, 1), other.join().unwrap());
        if calls.load(Ordering::Relaxed) < 2 {
            assert!(
                worker.0.load(Ordering::Acquire) > 0,
                "nobody wakes the worker"
            );
            let inside = shared.gate.want().expect("nobody has the service");
            let mut turn = Turn::new(&shared, inside);
            assert!(matches!(turn.serve(&mut 9), Served::All));
            let _ = turn.end();
            assert_eq!(calls.load(Ordering::Relaxed), 2);
        }
    });
}

#[test]
fn a_worker_that_finds_the_service_in_use_is_woken() {
    loom::model(|| {
        let (shared, _) = shared(0);
        let worker = Arc::new(Woken(AtomicUsize::new(0)));
        shared.wakes.set_task(&Arc::clone(&worker).into());
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                send(&shared, 1);
            })
        };
        let entered = match shared.gate.want() {
            Some(inside) => {
                shared.after(inside.leave(0));
                true
            }
            None => false,
        };
        other.join().unwrap();
        assert!(entered || worker.0.load(Ordering::Acquire) > 0);
    });
}

/// A request that is given up while it is served is called or not, and its place is free in the end.
#[test]
fn what_is_given_up_leaves_its_place() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let (shared, _) = shared(0);
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                drop(send(&shared, 2));
            })
        };
        drop(send(&shared, 1));
        other.join().unwrap();
        assert!(shared.gate.is_open());
        assert!(shared.gate.try_take() && shared.gate.try_take() && !shared.gate.try_take());
    });
}

/// The service wakes the worker for a request that is given up just then: the next request does not wait for another
/// wake-up.
#[test]
fn a_wake_up_for_a_request_that_is_given_up_is_not_lost() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let (shared, calls) = shared(2);
        let given_up = send(&shared, 1);
        let other = thread::spawn(move || drop(given_up));
        if let Some(inside) = shared.gate.want() {
            let mut turn = Turn::new(&shared, inside);
            turn.serve(&mut 9);
            shared.after(turn.end());
        }
        other.join().unwrap();
        let before = calls.load(Ordering::Relaxed);
        // As a caller that found the service in use.
        let _ticket = shared.push(2, &Place::Promised).unwrap();
        let called = calls.load(Ordering::Relaxed) > before;
        assert!(called || shared.wakes.take(), "nobody polls the service");
    });
}
