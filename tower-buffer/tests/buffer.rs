//! Order, bound, cancellation, failure, and which task drives the service.

use std::error::Error;
use std::future::{Future, Ready, poll_fn, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task};
use tower_buffer::error::{Closed, Panicked, ServiceError};
use tower_buffer::{BoxError, Buffer, Worker};
use tower_service::Service;
use tower_test::mock::{self, Mock, Spawn};

type Inner = Mock<Arc<str>, u32>;
type Buffered = Spawn<Buffer<Arc<str>, <Inner as Service<Arc<str>>>::Future>>;

fn buffer(
    bound: usize,
) -> (
    Buffered,
    task::Spawn<Worker<Arc<str>, Inner>>,
    mock::Handle<Arc<str>, u32>,
) {
    let (inner, handle) = mock::pair();
    let (buffer, worker) = Buffer::pair(inner, bound);
    (Spawn::new(buffer), task::spawn(worker), handle)
}

#[test]
fn requests_are_called_in_order_when_the_service_is_ready() {
    let (mut first, mut worker, mut handle) = buffer(10);
    let mut second = first.clone();
    handle.allow(0);
    assert_pending!(worker.poll());
    assert_ready_ok!(second.poll_ready());
    assert_ready_ok!(first.poll_ready());
    let mut one = task::spawn(first.call("one".into()));
    assert!(worker.is_woken());
    let mut two = task::spawn(second.call("two".into()));
    assert_pending!(one.poll());
    assert_pending!(two.poll());
    assert_pending!(worker.poll());
    assert_pending!(handle.poll_request());

    handle.allow(1);
    assert!(worker.is_woken());
    assert_pending!(worker.poll());
    let (request, send) = assert_ready!(handle.poll_request()).unwrap();
    assert_eq!(&*request, "one");
    assert!(one.is_woken());
    assert_pending!(one.poll());
    send.send_response(1);
    assert!(
        one.is_woken(),
        "the response goes to the caller, not through the worker"
    );
    assert_eq!(assert_ready_ok!(one.poll()), 1);
    assert_pending!(handle.poll_request());

    handle.allow(1);
    assert_pending!(worker.poll());
    assert_eq!(&*assert_ready!(handle.poll_request()).unwrap().0, "two");
}

#[test]
fn the_bound_does_not_count_the_request_that_waits_for_readiness() {
    let (mut service, mut worker, mut handle) = buffer(2);
    handle.allow(0);
    let mut waiting = Vec::new();
    for _ in 0..3 {
        assert_ready_ok!(service.poll_ready());
        waiting.push(service.call("request".into()));
        assert_pending!(worker.poll());
    }
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert_pending!(worker.poll());
    assert!(service.is_woken());
    assert_ready_ok!(service.poll_ready());
    let fourth = service.call("request".into());
    assert_pending!(service.poll_ready());
    // When that request is cancelled, the next one waits for readiness in its place, and releases its slot.
    drop(waiting.remove(1));
    assert!(service.is_woken());
    assert_ready_ok!(service.poll_ready());
    drop(fourth);
}

#[test]
fn slots_are_granted_first_in_first_out() {
    let (mut holder, _worker, _handle) = buffer(1);
    let (mut first, mut second) = (holder.clone(), holder.clone());
    assert_ready_ok!(holder.poll_ready());
    assert_pending!(first.poll_ready());
    assert_pending!(second.poll_ready());
    drop(holder);
    assert!(first.is_woken() && !second.is_woken());
    // A new handle does not overtake the woken waiter.
    assert_pending!(second.clone().poll_ready());
    assert_pending!(second.poll_ready());
    assert_ready_ok!(first.poll_ready());
}

#[test]
fn a_slot_granted_to_a_dropped_waiter_goes_to_the_next() {
    let (mut holder, _worker, _handle) = buffer(1);
    let (mut first, mut second) = (holder.clone(), holder.clone());
    assert_ready_ok!(holder.poll_ready());
    assert_pending!(first.poll_ready());
    assert_pending!(second.poll_ready());
    drop(holder);
    drop(first);
    assert!(second.is_woken());
    assert_ready_ok!(second.poll_ready());
}

#[test]
fn a_clone_holds_no_slot() {
    let (mut service, _worker, _handle) = buffer(1);
    assert_ready_ok!(service.poll_ready());
    assert_pending!(service.clone().poll_ready());
    assert_ready_ok!(service.poll_ready());
}

/// C5: in tower 0.5 a cancelled request keeps its slot and its body until it would have been served.
#[test]
fn a_cancelled_request_leaves_the_queue_at_once() {
    let (mut service, mut worker, mut handle) = buffer(1);
    handle.allow(0);
    assert_pending!(worker.poll());
    let request: Arc<str> = "body".into();
    assert_ready_ok!(service.poll_ready());
    let one = service.call(request.clone());
    assert_ready_ok!(service.poll_ready());
    let _two = service.call("stays".into());
    assert_pending!(service.poll_ready());
    drop(one);
    assert_eq!(Arc::strong_count(&request), 1);
    assert!(service.is_woken());
    assert_ready_ok!(service.poll_ready());
    let _three = service.call("last".into());
    handle.allow(9);
    assert_pending!(worker.poll());
    assert_eq!(&*assert_ready!(handle.poll_request()).unwrap().0, "stays");
    assert_eq!(&*assert_ready!(handle.poll_request()).unwrap().0, "last");
    assert_pending!(handle.poll_request());
}

#[test]
fn a_request_that_was_called_is_cancelled_with_its_future() {
    let (mut service, mut worker, mut handle) = buffer(2);
    assert_ready_ok!(service.poll_ready());
    let response = service.call("request".into());
    assert_pending!(worker.poll());
    let (_, send) = assert_ready!(handle.poll_request()).unwrap();
    assert!(!send.is_cancelled());
    drop(response);
    assert!(send.is_cancelled());
}

#[test]
fn a_failed_service_fails_queued_and_later_requests() {
    let (mut service, mut worker, mut handle) = buffer(1);
    let mut waiting = service.clone();
    handle.allow(0);
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call("request".into()));
    assert_pending!(response.poll());
    assert_pending!(waiting.poll_ready());
    assert_pending!(worker.poll());
    handle.send_error("foobar");
    assert_ready!(worker.poll());

    assert!(waiting.is_woken() && response.is_woken());
    for error in [
        assert_ready_err!(response.poll()),
        assert_ready_err!(waiting.poll_ready()),
        assert_ready_err!(service.clone().poll_ready()),
    ] {
        let error = error.downcast::<ServiceError>().unwrap();
        assert_eq!(error.source().unwrap().to_string(), "foobar");
    }
}

/// C6: in tower 0.5 the failed service is not dropped while a clone holds an unused slot.
#[test]
fn a_failed_service_is_dropped_at_once() {
    let (mut service, mut worker, mut handle) = buffer(2);
    handle.allow(0);
    assert_pending!(worker.poll());
    assert_ready_ok!(service.poll_ready());
    handle.send_error("foobar");
    assert!(worker.is_woken());
    assert_ready!(worker.poll());
    assert!(
        assert_ready!(handle.poll_request()).is_none(),
        "the mock has been dropped"
    );
}

#[test]
fn a_dropped_worker_closes_the_buffer() {
    let (mut service, worker, _handle) = buffer(1);
    let mut waiting = service.clone();
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call("request".into()));
    assert_pending!(response.poll());
    assert_pending!(waiting.poll_ready());
    drop(worker);
    assert!(assert_ready_err!(response.poll()).is::<Closed>());
    assert!(waiting.is_woken());
    assert!(assert_ready_err!(waiting.poll_ready()).is::<Closed>());
}

#[test]
fn a_call_after_the_service_failed_is_an_error_and_no_panic() {
    let (mut service, worker, _handle) = buffer(1);
    assert_ready_ok!(service.poll_ready());
    drop(worker);
    assert!(assert_ready_err!(task::spawn(service.call("late".into())).poll()).is::<Closed>());
}

#[test]
fn the_worker_serves_the_queue_after_all_handles_are_dropped() {
    let (mut service, mut worker, mut handle) = buffer(2);
    handle.allow(0);
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call("last".into()));
    assert_pending!(response.poll());
    assert_pending!(worker.poll());
    drop(service);
    assert!(worker.is_woken());
    assert_pending!(worker.poll());
    handle.allow(1);
    assert_ready!(worker.poll());
    assert_ready!(handle.poll_request())
        .unwrap()
        .1
        .send_response(7);
    assert_eq!(assert_ready_ok!(response.poll()), 7);
}

#[test]
#[should_panic(expected = "at least one request")]
fn a_bound_of_zero_panics() {
    drop(buffer(0));
}

/// Panics if the request is `break`.
struct Fragile;

impl Service<&'static str> for Fragile {
    type Response = ();
    type Error = BoxError;
    type Future = Ready<Result<(), BoxError>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: &'static str) -> Self::Future {
        assert!(request != "break", "told to break");
        ready(Ok(()))
    }
}

/// C7, tower#455: tower 0.5 only reports that the worker closed.
#[test]
fn a_panic_is_reported_with_its_message() {
    let (buffer, worker) = Buffer::pair(Fragile, 4);
    let (mut service, mut worker) = (Spawn::new(buffer), task::spawn(worker));
    let mut responses = ["fine", "break", "later"].map(|request| {
        assert_ready_ok!(service.poll_ready());
        task::spawn(service.call(request))
    });
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    assert_ready!(worker.poll());
    std::panic::set_hook(hook);
    assert_ready_ok!(responses[0].poll());
    for error in [
        assert_ready_err!(responses[1].poll()),
        assert_ready_err!(responses[2].poll()),
        assert_ready_err!(service.poll_ready()),
    ] {
        let panicked = error.source().unwrap().downcast_ref::<Panicked>().unwrap();
        assert_eq!(panicked.message(), "told to break");
    }
}

/// Counts its polls, and is woken by the test.
#[derive(Default)]
struct Watched {
    polls: Arc<AtomicUsize>,
    waker: Arc<std::sync::Mutex<Option<Waker>>>,
}

impl Service<()> for Watched {
    type Response = ();
    type Error = BoxError;
    type Future = Ready<Result<(), BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.polls.fetch_add(1, Ordering::Relaxed);
        *self.waker.lock().unwrap() = Some(cx.waker().clone());
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(()))
    }
}

/// C8, C9, tower#824: tower 0.5 does not poll the service while there are no requests.
#[test]
fn an_idle_service_is_driven_only_when_it_wakes_the_worker() {
    let service = Watched::default();
    let (polls, waker) = (Arc::clone(&service.polls), Arc::clone(&service.waker));
    let (buffer, worker) = Buffer::pair(service, 1);
    let (mut buffer, mut worker) = (Spawn::new(buffer), task::spawn(worker));
    for expected in 1..4 {
        assert_pending!(worker.poll());
        assert_pending!(worker.poll());
        assert_eq!(polls.load(Ordering::Relaxed), expected);
        waker.lock().unwrap().take().unwrap().wake();
        assert!(worker.is_woken());
    }
    assert_pending!(worker.poll());
    assert_ready_ok!(buffer.poll_ready());
    drop(buffer.call(()));
    assert_eq!(polls.load(Ordering::Relaxed), 5, "for the request");
    assert_pending!(worker.poll());
    assert_eq!(polls.load(Ordering::Relaxed), 5, "no request waits");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tasks_share_one_service() {
    let (inner, mut handle) = mock::pair::<u32, u32>();
    let buffer = Buffer::new(inner, 3);
    let echo = tokio::spawn(async move {
        while let Some((n, send)) = handle.next_request().await {
            send.send_response(n);
        }
    });
    let callers: Vec<_> = (0..64)
        .map(|n| {
            let mut buffer = buffer.clone();
            tokio::spawn(async move {
                for _ in 0..if cfg!(miri) { 2 } else { 100 } {
                    // Some requests are cancelled.
                    poll_fn(|cx| buffer.poll_ready(cx)).await.unwrap();
                    let mut abandoned = Box::pin(buffer.call(n));
                    let _ = poll_fn(|cx| Poll::Ready(abandoned.as_mut().poll(cx).is_ready())).await;
                    drop(abandoned);
                    poll_fn(|cx| buffer.poll_ready(cx)).await.unwrap();
                    assert_eq!(buffer.call(n).await.unwrap(), n);
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    drop(buffer);
    echo.await.unwrap();
}

/// C4: in tower 0.5 the second handle waits forever.
#[tokio::test]
async fn idle_handles_do_not_block_the_others() {
    let service = mock::pair::<u32, u32>();
    let buffer = Buffer::new(service.0, 1);
    let mut handle = service.1;
    let mut idle: Vec<_> = (0..3).map(|_| buffer.clone()).collect();
    for idle in &mut idle {
        poll_fn(|cx| idle.poll_ready(cx)).await.unwrap();
    }
    let mut busy = buffer.clone();
    for n in 0..3 {
        poll_fn(|cx| busy.poll_ready(cx)).await.unwrap();
        let response = busy.call(n);
        handle.next_request().await.unwrap().1.send_response(n);
        assert_eq!(response.await.unwrap(), n);
    }
    // They may still call.
    for mut idle in idle {
        let response = idle.call(7);
        handle.next_request().await.unwrap().1.send_response(8);
        assert_eq!(response.await.unwrap(), 8);
    }
}

/// A slot beyond the bound is repaid: afterwards the bound applies again.
#[test]
fn a_slot_beyond_the_bound_is_used_once() {
    let (inner, mut handle) = mock::pair::<u32, u32>();
    handle.allow(0);
    let (buffer, worker) = Buffer::pair(inner, 1);
    let (mut idle, mut worker) = (Spawn::new(buffer), task::spawn(worker));
    let mut second = idle.clone();
    assert_ready_ok!(idle.poll_ready());
    assert_pending!(second.poll_ready());
    for _ in 0..100 {
        assert_pending!(worker.poll());
    }
    assert!(second.is_woken());
    assert_ready_ok!(second.poll_ready());
    let responses = [idle.call(1), second.call(2)];
    assert_pending!(worker.poll());
    assert_pending!(idle.poll_ready(), "one is queued, which is the bound");
    drop(responses);
    assert_ready_ok!(idle.poll_ready());
}

/// The caller that found no slot has gone away, so no handle claims the extra slot.
#[test]
fn an_unclaimed_extra_slot_does_not_lower_the_bound() {
    let (inner, mut handle) = mock::pair::<u32, u32>();
    let (buffer, worker) = Buffer::pair(inner, 1);
    let (mut holder, mut worker) = (Spawn::new(buffer), task::spawn(worker));
    let mut rejected = holder.clone();
    assert_ready_ok!(holder.poll_ready());
    assert_pending!(rejected.poll_ready());
    drop(rejected);
    for _ in 0..100 {
        assert_pending!(worker.poll());
    }
    drop(holder.call(1));
    handle.allow(0);
    let mut queued = Vec::new();
    for n in 0..2 {
        assert_ready_ok!(holder.poll_ready());
        queued.push(holder.call(n));
        assert_pending!(worker.poll());
    }
    assert_pending!(
        holder.poll_ready(),
        "one waits for readiness, and one is queued"
    );
}

/// Drops the response future of a request during the call, which drops the service's future.
struct CancelsDuringCall(Arc<std::sync::Mutex<Option<Response>>>);

type Response = tower_buffer::future::ResponseFuture<Bomb>;

/// Panics when it is dropped.
struct Bomb;

impl Future for Bomb {
    type Output = Result<(), BoxError>;

    fn poll(self: std::pin::Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Pending
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "dropped");
    }
}

impl Service<()> for CancelsDuringCall {
    type Response = ();
    type Error = BoxError;
    type Future = Bomb;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Bomb {
        drop(self.0.lock().unwrap().take());
        Bomb
    }
}

#[test]
fn a_panic_of_a_cancelled_future_is_reported_to_the_next_caller() {
    let cancelled = Arc::default();
    let (buffer, worker) = Buffer::pair(CancelsDuringCall(Arc::clone(&cancelled)), 4);
    let (mut service, mut worker) = (Spawn::new(buffer), task::spawn(worker));
    let [first, next, last] = [(); 3].map(|()| {
        assert_ready_ok!(service.poll_ready());
        service.call(())
    });
    *cancelled.lock().unwrap() = Some(first);
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let _ = worker.poll();
    std::panic::set_hook(hook);
    assert_ready!(worker.poll());
    for response in [next, last] {
        let error = assert_ready_err!(task::spawn(response).poll());
        let panicked = error.source().unwrap().downcast_ref::<Panicked>().unwrap();
        assert_eq!(panicked.message(), "dropped");
    }
}
