//! `Filter`, `Steer` and `SpawnReady`.
#![cfg(all(feature = "filter", feature = "spawn-ready", feature = "steer"))]

use std::cell::Cell;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task};
use tower_readiness::{Purpose, drive, release};
use tower_service::Service;
use tower_test::mock::{self, Mock, Spawn};
use tower_util::BoxError;
use tower_util::filter::{AsyncFilter, Filter};
use tower_util::spawn_ready::{Lost, SpawnReady};
use tower_util::steer::Steer;

type Inner = Mock<u32, u32>;

#[test]
fn a_rejected_request_does_not_reach_the_service() {
    let layer = Filter::<Inner, _>::layer(|n: u32| n.checked_sub(1).ok_or("zero"));
    let (mut service, mut handle) = mock::spawn_layer::<u32, u32, _>(layer);
    assert_ready_ok!(service.poll_ready());
    assert_eq!(
        assert_ready_err!(task::spawn(service.call(0)).poll()).to_string(),
        "zero"
    );
    assert_pending!(handle.poll_request());
    let _response = service.call(8);
    assert_eq!(assert_ready!(handle.poll_request()).unwrap().0, 7);
}

/// C26: tower 0.5 holds the service's capacity while the predicate is pending.
#[test]
fn a_pending_predicate_releases_capacity_and_waits_for_it_again() {
    let (sender, receiver) = tokio::sync::oneshot::channel::<u32>();
    let receiver = Cell::new(Some(receiver));
    let (mut service, mut handle) = mock::spawn_with(|inner: Inner| {
        let mut receiver = receiver.take();
        AsyncFilter::new(inner, move |_: u32| {
            let receiver = receiver.take().unwrap();
            async { receiver.await.map_err(BoxError::from) }
        })
    });
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(1));
    assert_pending!(response.poll());
    // Nothing was sent, and the reservation was released.
    handle.allow(0);
    sender.send(5).unwrap();
    assert!(response.is_woken());
    assert_pending!(response.poll());
    assert_pending!(handle.poll_request(), "without capacity no request");
    handle.allow(1);
    assert!(response.is_woken());
    assert_pending!(response.poll());
    let (request, send) = assert_ready!(handle.poll_request()).unwrap();
    assert_eq!(request, 5);
    send.send_response(50);
    assert_eq!(assert_ready_ok!(response.poll()), 50);
}

#[test]
fn steers_to_the_picked_service_when_all_are_ready() {
    let (first, mut one) = mock::pair::<u32, u32>();
    let (second, mut two) = mock::pair::<u32, u32>();
    let mut service = Spawn::new(Steer::new([first, second], |n: &u32, _: &[Inner]| {
        *n as usize % 2
    }));
    one.allow(0);
    two.allow(0);
    assert_pending!(service.poll_ready());
    two.allow(1);
    assert!(
        service.is_woken(),
        "every service that is not ready is waited for"
    );
    assert_pending!(service.poll_ready());
    one.allow(1);
    assert_ready_ok!(service.poll_ready());
    let _response = service.call(3);
    assert_eq!(assert_ready!(two.poll_request()).unwrap().0, 3);
    assert_pending!(one.poll_request());
}

/// C1: in tower 0.5 a clone of a ready `Steer` counts as ready, and the mock panics.
#[test]
fn a_clone_of_steer_polls_for_readiness_itself() {
    let (inner, _handle) = mock::pair::<u32, u32>();
    let mut service = Spawn::new(Steer::new([inner], |_: &u32, _: &[Inner]| 0));
    assert_ready_ok!(service.poll_ready());
    let mut clone = service.clone();
    assert_ready_ok!(clone.poll_ready());
    let _response = clone.call(1);
}

/// Always ready; records the purpose of the last poll.
struct Polled<'a>(&'a Cell<Option<Purpose>>);

impl Service<u32> for Polled<'_> {
    type Response = ();
    type Error = BoxError;
    type Future = Ready<Result<(), BoxError>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.set(Some(Purpose::current()));
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: u32) -> Self::Future {
        assert_eq!(self.0.take(), Some(Purpose::Call));
        ready(Ok(()))
    }
}

#[test]
fn steer_polls_services_again_after_a_call_or_a_release() {
    let polled = [const { Cell::new(None) }; 2];
    let mut service = task::spawn(Steer::new(
        polled.each_ref().map(Polled),
        |n: &u32, _: &[_]| *n as usize,
    ));
    service.enter(|cx, mut service| {
        assert_ready_ok!(service.poll_ready(cx));
        let _response = service.call(0);
        polled[1].set(None);
        assert_ready_ok!(service.poll_ready(cx));
        assert_eq!(
            polled.each_ref().map(Cell::get),
            [Some(Purpose::Call), None]
        );
        polled[1].set(Some(Purpose::Call));
        let _response = service.call(1);
        for without_request in [Purpose::Drive, Purpose::Release] {
            match without_request {
                Purpose::Drive => assert_ready_ok!(drive(&mut *service, cx)),
                _ => release(&mut *service, cx).unwrap(),
            }
            assert_eq!(polled.each_ref().map(Cell::get), [Some(without_request); 2]);
            assert_ready_ok!(service.poll_ready(cx));
            assert_eq!(polled.each_ref().map(Cell::get), [Some(Purpose::Call); 2]);
            let _response = service.call(1);
        }
    });
}

#[test]
#[should_panic(expected = "poll_ready must be called first")]
fn steer_does_not_call_a_service_that_is_not_ready() {
    let (inner, _handle) = mock::pair::<u32, u32>();
    let _response = Spawn::new(Steer::new([inner], |_: &u32, _: &[Inner]| 0)).call(1);
}

#[tokio::test]
async fn becomes_ready_without_being_polled() {
    let (mut service, mut handle) = mock::spawn_with(|inner: Inner| SpawnReady::new(inner));
    handle.allow(0);
    assert_pending!(service.poll_ready());
    tokio::task::yield_now().await;
    handle.allow(1);
    tokio::task::yield_now().await;
    // The background task has reserved the only request that is allowed.
    handle.allow(0);
    assert_ready_ok!(service.poll_ready());
    let _response = service.call(1);
    assert!(handle.poll_request().is_ready());
}

#[tokio::test]
async fn a_failure_in_the_background_is_reported_and_the_service_is_dropped() {
    let (mut service, mut handle) = mock::spawn_layer::<u32, u32, _>(SpawnReady::<Inner>::layer());
    handle.allow(0);
    assert_pending!(service.poll_ready());
    tokio::task::yield_now().await;
    handle.send_error("broken");
    tokio::task::yield_now().await;
    assert_eq!(
        assert_ready_err!(service.poll_ready()).to_string(),
        "broken"
    );
    assert!(assert_ready_err!(service.poll_ready()).is::<Lost>());
}

#[tokio::test]
async fn dropping_the_service_ends_its_task() {
    let (mut service, mut handle) = mock::spawn_with(|inner: Inner| SpawnReady::new(inner));
    handle.allow(0);
    assert_pending!(service.poll_ready());
    drop(service);
    assert!(handle.next_request().await.is_none());
}
