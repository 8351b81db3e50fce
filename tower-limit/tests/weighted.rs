//! Limits by weight.
#![cfg(all(feature = "concurrency", feature = "rate"))]

use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use tokio::time::advance;
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task};
use tower_layer::Layer;
use tower_limit::error::{InvalidLimit, LimitExceeded, LimitKind};
use tower_limit::weighted::{WeightedConcurrencyLimit, WeightedConcurrencyLimitLayer};
use tower_limit::{BoxError, ConcurrencyLimit, Event, GlobalConcurrencyLimitLayer};
use tower_service::Service;
use tower_test::mock::{self, Mock, Spawn};

type Inner = Mock<u32, u32>;
type Weighted = WeightedConcurrencyLimit<Inner, fn(&u32) -> u32>;
type Response = task::Spawn<<Weighted as Service<u32>>::Future>;

const SECOND: Duration = Duration::from_secs(1);

fn layer(max: u32) -> WeightedConcurrencyLimitLayer<fn(&u32) -> u32> {
    WeightedConcurrencyLimitLayer::new(max, |weight: &u32| *weight)
}

fn send(service: &mut Spawn<Weighted>, weight: u32) -> Response {
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(weight));
    if let Poll::Ready(result) = response.poll() {
        result.unwrap();
    }
    response
}

/// The requests that have arrived since the last call, by weight.
fn arrived(handle: &mut mock::Handle<u32, u32>) -> Vec<(u32, mock::SendResponse<u32>)> {
    std::iter::from_fn(|| match handle.poll_request() {
        Poll::Ready(request) => request,
        Poll::Pending => None,
    })
    .collect()
}

fn weights(arrived: &[(u32, mock::SendResponse<u32>)]) -> Vec<u32> {
    arrived.iter().map(|(weight, _)| *weight).collect()
}

#[test]
fn requests_run_together_up_to_the_maximum_weight() {
    let (mut service, mut handle) = mock::spawn_layer(layer(10));
    let mut requests = [4, 5, 1, 1].map(|weight| send(&mut service, weight));
    let running = arrived(&mut handle);
    assert_eq!(weights(&running), [4, 5, 1]);
    let [(_, first), ..] = running
        .try_into()
        .unwrap_or_else(|_| -> [_; 3] { panic!() });
    first.send_response(0);
    assert_ready_ok!(requests[0].poll());
    assert!(requests[3].is_woken());
    assert_pending!(requests[3].poll());
    assert_eq!(weights(&arrived(&mut handle)), [1]);
}

#[test]
fn a_heavy_request_is_not_overtaken_by_lighter_ones() {
    let (mut service, mut handle) = mock::spawn_layer(layer(4));
    let first = send(&mut service, 2);
    let mut heavy = send(&mut service, 4);
    let mut light = send(&mut service.clone(), 1);
    assert_eq!(weights(&arrived(&mut handle)), [2]);
    drop(first);
    assert!(heavy.is_woken() && !light.is_woken());
    assert_pending!(heavy.poll());
    assert_pending!(light.poll());
    assert_eq!(weights(&arrived(&mut handle)), [4]);
    drop(heavy);
    assert!(light.is_woken());
    assert_pending!(light.poll());
    assert_eq!(weights(&arrived(&mut handle)), [1]);
}

#[test]
fn a_weight_above_the_maximum_counts_as_the_maximum() {
    let (mut service, mut handle) = mock::spawn_layer(layer(3));
    let alone = send(&mut service, u32::MAX);
    let mut other = send(&mut service, 1);
    assert_eq!(weights(&arrived(&mut handle)), [u32::MAX]);
    drop(alone);
    assert_pending!(other.poll());
    assert_eq!(weights(&arrived(&mut handle)), [1]);
}

#[test]
fn a_weight_of_zero_is_not_limited() {
    let (mut service, mut handle) = mock::spawn_layer(layer(1));
    let _requests = [1, 1, 0, 0].map(|weight| send(&mut service, weight));
    assert_eq!(weights(&arrived(&mut handle)), [1, 0, 0]);
}

#[test]
fn a_waiter_that_gives_up_lets_the_next_one_pass() {
    let (mut service, mut handle) = mock::spawn_layer(layer(4));
    let _first = send(&mut service, 2);
    let heavy = send(&mut service, 4);
    let mut light = send(&mut service, 1);
    drop(heavy);
    assert!(light.is_woken());
    assert_pending!(light.poll());
    assert_eq!(weights(&arrived(&mut handle)), [2, 1]);
}

#[test]
fn a_waiter_that_is_dropped_after_its_wake_up_returns_the_permits() {
    let (mut service, mut handle) = mock::spawn_layer(layer(2));
    let first = send(&mut service, 2);
    let woken = send(&mut service, 2);
    let mut last = send(&mut service, 1);
    drop(first);
    drop(woken);
    assert!(last.is_woken());
    assert_pending!(last.poll());
    assert_eq!(weights(&arrived(&mut handle)), [2, 1]);
}

#[test]
fn a_waiting_future_wakes_the_task_that_polled_it_last() {
    let (mut service, _handle) = mock::spawn_layer(layer(1));
    let first = send(&mut service, 1);
    let waiting = send(&mut service, 1);
    let future = waiting.into_inner();
    let mut moved = task::spawn(Box::pin(future));
    assert_pending!(moved.poll());
    drop(first);
    assert!(moved.is_woken());
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_no_longer_than_the_maximum() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let events = Arc::clone(&seen);
    let layer = layer(2)
        .max_wait(SECOND)
        .on_event(move |event| events.lock().unwrap().push(*event));
    let (mut service, mut handle) = mock::spawn_layer(layer);
    let first = send(&mut service, 1);
    let mut heavy = send(&mut service, 2);
    advance(SECOND / 2).await;
    let mut light = send(&mut service, 1);
    advance(SECOND / 2).await;
    assert!(heavy.is_woken());
    let error = assert_ready_err!(heavy.poll());
    let error = error.downcast_ref::<LimitExceeded>().unwrap();
    assert_eq!(error.limit(), LimitKind::Concurrency);
    assert_eq!(error.retry_after(), None);
    let refused = Event::Refused {
        limit: LimitKind::Concurrency,
        retry_after: None,
    };
    assert_eq!(*seen.lock().unwrap(), [refused]);
    // The refused future has left the queue, although it is kept.
    assert!(light.is_woken());
    assert_pending!(light.poll());
    assert_eq!(weights(&arrived(&mut handle)), [1, 1]);
    drop((first, heavy));
}

#[test]
fn a_shedding_limit_refuses_at_once_and_releases_the_inner_service() {
    let inner = GlobalConcurrencyLimitLayer::new(2);
    let weighted = layer(2).shed();
    let (mut service, _handle) = mock::spawn_with(|mock: Inner| weighted.layer(inner.layer(mock)));
    let (mut other, _other): (Spawn<ConcurrencyLimit<Inner>>, _) =
        mock::spawn_with(|mock| inner.layer(mock));
    assert_ready_ok!(service.poll_ready());
    let first = service.call(2);
    assert_ready_ok!(service.poll_ready());
    let mut refused = task::spawn(service.call(1));
    let error: BoxError = assert_ready_err!(refused.poll());
    assert!(error.is::<LimitExceeded>());
    assert_ready_ok!(other.poll_ready());
    drop(first);
    assert_ready_ok!(service.poll_ready());
    assert_pending!(task::spawn(service.call(2)).poll());
}

#[test]
fn a_waiting_future_that_is_dropped_releases_the_inner_service() {
    let inner = GlobalConcurrencyLimitLayer::new(2);
    let weighted = layer(2);
    let (mut service, _handle) = mock::spawn_with(|mock: Inner| weighted.layer(inner.layer(mock)));
    let (mut other, _other): (Spawn<ConcurrencyLimit<Inner>>, _) =
        mock::spawn_with(|mock| inner.layer(mock));
    assert_ready_ok!(service.poll_ready());
    let _first = service.call(2);
    assert_ready_ok!(service.poll_ready());
    let waiting = service.call(1);
    assert_pending!(other.poll_ready());
    drop(waiting);
    assert!(other.is_woken());
    assert_ready_ok!(other.poll_ready());
}

#[test]
fn the_permits_return_with_the_response_or_the_error() {
    let (mut service, mut handle) = mock::spawn_layer(layer(1));
    for fails in [false, true] {
        let mut first = send(&mut service, 1);
        let mut second = send(&mut service, 1);
        let (_, answer) = arrived(&mut handle).pop().unwrap();
        if fails {
            answer.send_error("broken");
            assert_eq!(assert_ready_err!(first.poll()).to_string(), "broken");
        } else {
            answer.send_response(7);
            assert_eq!(assert_ready_ok!(first.poll()), 7);
        }
        assert!(second.is_woken());
        assert_pending!(second.poll());
        assert_ready!(handle.poll_request()).unwrap();
    }
}

#[test]
fn a_limit_without_permits_is_invalid() {
    let error = WeightedConcurrencyLimitLayer::try_new(0, |_: &u32| 1).unwrap_err();
    assert_eq!(error, InvalidLimit::NoPermits);
}
