//! Middleware from a function.
#![cfg(feature = "middleware")]

use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task};
use tower_service::Service;
use tower_test::mock;
use tower_util::BoxError;
use tower_util::middleware::{FromFn, Next, from_fn, from_fn_with_state};

/// Responds to 0 itself, and runs the service otherwise.
async fn skip_zero<S>(n: u32, next: Next<S, u32>) -> Result<u32, BoxError>
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    match n {
        0 => Ok(0),
        n => Ok(next.run(n).await? * 2),
    }
}

#[test]
fn the_function_changes_requests_and_responses() {
    let (mut service, mut handle) = mock::spawn_layer::<u32, u32, _>(from_fn(skip_zero));
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(4));
    assert_pending!(response.poll());
    let (request, send) = assert_ready!(handle.poll_request()).unwrap();
    assert_eq!(request, 4);
    send.send_response(3);
    assert_eq!(assert_ready_ok!(response.poll()), 6);
}

// The mock panics if it is called without having been ready. `tower/tests/contract.rs` tests that what it has reserved is released.
#[test]
fn the_function_gets_the_service_that_became_ready() {
    let (mut service, mut handle) = mock::spawn_layer::<u32, u32, _>(from_fn(skip_zero));
    for request in [1, 2] {
        assert_ready_ok!(service.poll_ready());
        let mut response = task::spawn(service.call(request));
        assert_pending!(response.poll());
        assert_eq!(assert_ready!(handle.poll_request()).unwrap().0, request);
    }
}

#[test]
fn a_request_that_the_function_does_not_pass_on_does_not_reach_the_service() {
    let (mut service, mut handle) = mock::spawn_layer::<u32, u32, _>(from_fn(skip_zero));
    assert_ready_ok!(service.poll_ready());
    assert_eq!(assert_ready_ok!(task::spawn(service.call(0)).poll()), 0);
    assert_pending!(handle.poll_request());
}

#[test]
fn a_failure_of_the_service_before_a_call_is_returned() {
    let (mut service, mut handle) = mock::spawn_layer::<u32, u32, _>(from_fn(skip_zero));
    handle.send_error("broken");
    assert_eq!(
        assert_ready_err!(service.poll_ready()).to_string(),
        "broken"
    );
}

#[test]
fn each_request_gets_a_clone_of_the_state() {
    async fn add<S>(n: u32, request: u32, next: Next<S, u32>) -> Result<S::Response, S::Error>
    where
        S: Service<u32>,
    {
        next.run(request + n).await
    }
    let (mut service, mut handle) = mock::spawn_layer::<u32, u32, _>(from_fn_with_state(10, add));
    for request in [1, 2] {
        assert_ready_ok!(service.poll_ready());
        let mut response = task::spawn(service.call(request));
        assert_pending!(response.poll());
        assert_eq!(
            assert_ready!(handle.poll_request()).unwrap().0,
            request + 10
        );
    }
}

#[test]
fn the_service_and_its_future_are_send_if_the_parts_are() {
    fn check<T: Send>(_: &T) {}
    fn check_future<F, S, Fut>(_: &FromFn<F, S>)
    where
        FromFn<F, S>: Service<u32, Future = Fut>,
        Fut: Send,
    {
    }
    let (service, _handle) = mock::spawn_layer::<u32, u32, _>(from_fn(skip_zero));
    check(service.get_ref());
    check_future(service.get_ref());
}
