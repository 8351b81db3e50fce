//! Callers and the worker with the real queue, in every interleaving that loom explores.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use loom::thread;
use tower_service::Service;

use crate::error::Failure;
use crate::future::ResponseFuture;
use crate::slots::Slot;
use crate::sync::{AtomicUsize, Ordering};
use crate::ticket::Ticket;
use crate::turn::{Served, Turn};

type Response = Ready<Result<u32, Infallible>>;
type Shared = crate::shared::Shared<u32, Response>;

/// Responds with the request. The first `pending` polls are pending, and wake the task that polled.
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
    shared.set_runtime();
    (Arc::new(shared), calls)
}

/// Sends a request. Returns a ticket if it was queued.
fn send(shared: &Arc<Shared>, request: u32) -> Option<Ticket<ResponseFuture<Response>>> {
    let mut response = ResponseFuture::failed(Failure::Closed);
    let mut request = Some(request);
    let mut slot = Slot::None;
    if !shared.try_bypass(&mut slot) {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(shared.poll_slot(&mut slot, &mut cx).is_ready());
    }
    shared.call(&mut request, &slot, &mut response);
    request.map(|request| shared.push(request, &slot).unwrap())
}

struct Woken(AtomicUsize);

impl std::task::Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

/// A request that is queued while another caller holds the service is served by that caller, without the worker.
#[test]
fn a_queued_request_is_served_by_the_caller_that_holds_the_service() {
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
        assert!(!shared.service_lock.is_queued() && shared.service_lock.is_open());
        assert!(
            shared.service_lock.try_take_slot()
                && shared.service_lock.try_take_slot()
                && !shared.service_lock.try_take_slot()
        );
    });
}

/// A request for which the service was not ready is served when the service wakes the worker.
#[test]
fn the_worker_is_woken_for_a_request_that_waits_for_readiness() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let (shared, calls) = shared(1);
        let worker = Arc::new(Woken(AtomicUsize::new(0)));
        shared.worker.set_task(&Arc::clone(&worker).into());
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || send(&shared, 2))
        };
        let _tickets = (send(&shared, 1), other.join().unwrap());
        if calls.load(Ordering::Relaxed) < 2 {
            assert!(
                worker.0.load(Ordering::Acquire) > 0,
                "the worker is not woken"
            );
            let guard = shared
                .service_lock
                .lock_or_notify()
                .expect("the service is not in use");
            let mut turn = Turn::new(&shared, guard);
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
        shared.worker.set_task(&Arc::clone(&worker).into());
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                send(&shared, 1);
            })
        };
        let locked = match shared.service_lock.lock_or_notify() {
            Some(guard) => {
                shared.after(guard.unlock(0));
                true
            }
            None => false,
        };
        other.join().unwrap();
        assert!(locked || worker.0.load(Ordering::Acquire) > 0);
    });
}

/// The slot of a request that is cancelled while it is served is released, whether the service is called or not.
#[test]
fn a_cancelled_request_releases_its_slot() {
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
        assert!(shared.service_lock.is_open());
        assert!(
            shared.service_lock.try_take_slot()
                && shared.service_lock.try_take_slot()
                && !shared.service_lock.try_take_slot()
        );
    });
}

/// The service wakes the worker for a request that is cancelled at the same time: the next request does not wait for another
/// wake-up.
#[test]
fn a_wake_up_for_a_cancelled_request_is_not_lost() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let (shared, calls) = shared(2);
        let cancelled = send(&shared, 1);
        let other = thread::spawn(move || drop(cancelled));
        if let Some(guard) = shared.service_lock.lock_or_notify() {
            let mut turn = Turn::new(&shared, guard);
            turn.serve(&mut 9);
            shared.after(turn.end());
        }
        other.join().unwrap();
        let before = calls.load(Ordering::Relaxed);
        // As a caller that found the service in use.
        let _ticket = shared.push(2, &Slot::Bypass).unwrap();
        let called = calls.load(Ordering::Relaxed) > before;
        assert!(
            called || shared.worker.take_service_wake(),
            "no thread polls the service"
        );
    });
}
