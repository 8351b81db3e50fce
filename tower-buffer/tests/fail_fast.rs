//! `FailFast`: bounded waiting for a service that is not ready.

use std::time::Duration;

use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower_buffer::Buffer;
use tower_buffer::fail_fast::{FailFastLayer, Unavailable};
use tower_service::Service;
use tower_test::mock;

const MAX_WAIT: Duration = Duration::from_secs(3);

type Spawned =
    mock::Spawn<tower_buffer::fail_fast::FailFast<mock::Mock<&'static str, &'static str>>>;

fn spawn() -> (Spawned, mock::Handle<&'static str, &'static str>) {
    mock::spawn_layer(FailFastLayer::new(MAX_WAIT))
}

#[tokio::test(start_paused = true)]
async fn a_ready_service_is_called() {
    let (mut service, mut handle) = spawn();
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call("hello"));
    assert_pending!(response.poll());
    handle
        .next_request()
        .await
        .unwrap()
        .1
        .send_response("world");
    assert_eq!(assert_ready_ok!(response.poll()), "world");
}

#[tokio::test(start_paused = true)]
async fn waits_for_a_pending_service_no_longer_than_allowed() {
    let (mut service, mut handle) = spawn();
    handle.allow(0);
    assert_pending!(service.poll_ready());
    tokio::time::advance(MAX_WAIT - Duration::from_millis(1)).await;
    assert_pending!(service.poll_ready());
    tokio::time::advance(Duration::from_millis(2)).await;
    assert!(service.is_woken());
    assert_ready_ok!(service.poll_ready());
    let error = assert_ready_err!(task::spawn(service.call("refused")).poll());
    assert_eq!(
        error
            .downcast_ref::<Unavailable>()
            .expect("typed error")
            .waited(),
        MAX_WAIT
    );

    // Now immediately.
    assert_ready_ok!(service.poll_ready());
    assert_ready_err!(task::spawn(service.call("refused too")).poll());
}

#[tokio::test(start_paused = true)]
async fn recovers_when_the_service_is_ready_again_and_then_begins_a_new_wait() {
    let (mut service, mut handle) = spawn();
    handle.allow(0);
    assert_pending!(service.poll_ready());
    tokio::time::advance(MAX_WAIT * 2).await;
    assert_ready_ok!(service.poll_ready());

    handle.allow(1);
    assert!(service.is_woken());
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call("let in"));
    assert_pending!(response.poll());
    handle
        .next_request()
        .await
        .unwrap()
        .1
        .send_response("served");
    assert_ready_ok!(response.poll());

    assert_pending!(service.poll_ready());
    tokio::time::advance(MAX_WAIT - Duration::from_millis(1)).await;
    assert_pending!(service.poll_ready());
}

#[tokio::test(start_paused = true)]
async fn an_unbounded_wait_is_no_panic() {
    let (mut service, mut handle) =
        mock::spawn_layer::<&'static str, &'static str, _>(FailFastLayer::new(Duration::MAX));
    handle.allow(0);
    assert_pending!(service.poll_ready());
    tokio::time::advance(Duration::from_secs(86_400 * 365)).await;
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
}

#[tokio::test(start_paused = true)]
async fn requests_queued_in_a_buffer_fail_too_and_traffic_resumes_by_itself() {
    let (inner, mut handle) = mock::pair::<&'static str, &'static str>();
    handle.allow(0);
    let mut buffer = Buffer::new(tower_buffer::fail_fast::FailFast::new(inner, MAX_WAIT), 8);
    let mut queued = Vec::new();
    for _ in 0..3 {
        std::future::poll_fn(|cx| buffer.poll_ready(cx))
            .await
            .unwrap();
        queued.push(buffer.call("queued"));
    }
    for response in queued {
        assert!(
            response
                .await
                .unwrap_err()
                .downcast_ref::<Unavailable>()
                .is_some()
        );
    }

    handle.allow(1);
    std::future::poll_fn(|cx| buffer.poll_ready(cx))
        .await
        .unwrap();
    let response = tokio::spawn(buffer.call("again"));
    handle.next_request().await.unwrap().1.send_response("back");
    assert_eq!(response.await.unwrap().unwrap(), "back");
}
