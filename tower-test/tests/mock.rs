//! Readiness, requests, responses and errors of the mock.

use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task};
use tower_layer::layer_fn;
use tower_test::mock::{self, Mock, error::Closed};

type Text = &'static str;

#[tokio::test]
async fn responds_to_a_request() {
    let (mut service, mut handle) = mock::spawn::<Text, Text>();
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call("ping"));
    assert_pending!(response.poll());
    tower_test::assert_request_eq!(handle, "ping").send_response("pong");
    assert!(response.is_woken());
    assert_eq!(assert_ready_ok!(response.poll()), "pong");
}

#[test]
fn a_failed_or_dropped_request_fails() {
    let (mut service, mut handle) = mock::spawn::<Text, Text>();
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call("first"));
    let (_, send) = assert_ready!(handle.poll_request()).unwrap();
    assert!(!send.is_cancelled());
    send.send_error("no");
    assert_eq!(assert_ready_err!(response.poll()).to_string(), "no");

    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call("second"));
    drop(handle.poll_request());
    assert!(assert_ready_err!(response.poll()).is::<Closed>());
}

#[test]
fn a_cancelled_request_is_detected() {
    let (mut service, mut handle) = mock::spawn::<Text, Text>();
    assert_ready_ok!(service.poll_ready());
    drop(service.call("never mind"));
    let (_, send) = assert_ready!(handle.poll_request()).unwrap();
    assert!(send.is_cancelled());
}

#[test]
fn allows_the_given_number_of_requests_and_wakes_waiters() {
    let (mut service, mut handle) = mock::spawn::<Text, Text>();
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    drop(service.call("one"));
    assert_pending!(service.poll_ready());
    assert!(!service.is_woken());
    let mut clone = service.clone();
    assert_pending!(clone.poll_ready());
    handle.allow(2);
    assert!(service.is_woken() && clone.is_woken());
    assert_ready_ok!(service.poll_ready());
    assert_ready_ok!(clone.poll_ready());
}

#[test]
fn readiness_fails_once() {
    let (mut service, mut handle) = mock::spawn::<Text, Text>();
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.send_error("lost");
    assert!(service.is_woken());
    assert_eq!(assert_ready_err!(service.poll_ready()).to_string(), "lost");
    assert_pending!(service.poll_ready());
}

#[test]
fn is_closed_without_its_handle() {
    let (mut service, handle) = mock::spawn::<Text, Text>();
    assert_ready_ok!(service.poll_ready());
    drop(handle);
    let mut response = task::spawn(service.call("too late"));
    assert!(assert_ready_err!(response.poll()).is::<Closed>());
    assert!(assert_ready_err!(service.poll_ready()).is::<Closed>());
}

#[test]
fn the_handle_detects_that_all_services_were_dropped() {
    let (service, mut handle) = mock::spawn::<Text, Text>();
    let clone = service.clone();
    drop(service);
    assert_pending!(handle.poll_request());
    drop(clone);
    assert!(assert_ready!(handle.poll_request()).is_none());
}

#[test]
#[should_panic(expected = "poll_ready must be called first")]
fn a_clone_is_not_ready() {
    let (mut service, _handle) = mock::spawn::<Text, Text>();
    assert_ready_ok!(service.poll_ready());
    drop(service.clone().call("not asked"));
}

#[test]
fn wraps_the_mock_in_the_service_under_test() {
    let (mut layered, mut handle) = mock::spawn_layer(layer_fn(|inner: Mock<Text, Text>| inner));
    assert_ready_ok!(layered.poll_ready());
    drop(layered.call("layered"));
    assert_eq!(assert_ready!(handle.poll_request()).unwrap().0, "layered");

    let (mut wrapped, mut handle) = mock::spawn_with(|inner: Mock<Text, Text>| inner);
    assert_ready_ok!(wrapped.poll_ready());
    drop(wrapped.call("wrapped"));
    assert_eq!(assert_ready!(handle.poll_request()).unwrap().0, "wrapped");
    let _: Mock<Text, Text> = wrapped.into_inner();
}
