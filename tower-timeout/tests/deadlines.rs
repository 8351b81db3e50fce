//! Timeouts per request, and deadlines: when they apply, and what is dropped.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task};
use tower_test::mock;
use tower_timeout::error::{DeadlineExceeded, Elapsed};
use tower_timeout::{Deadline, EnforceDeadlineLayer, TimeoutByLayer};

const MS: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn each_request_has_the_timeout_that_the_closure_returns() {
    let layer = TimeoutByLayer::new(|millis: &u32| (*millis > 0).then(|| MS * *millis));
    let (mut service, mut handle) = mock::spawn_layer::<u32, (), _>(layer);
    let mut responses = Vec::new();
    for millis in [10, 20, 0] {
        assert_ready_ok!(service.poll_ready());
        responses.push(task::spawn(service.call(millis)));
    }
    let held: Vec<_> = (0..3)
        .map(|_| assert_ready!(handle.poll_request()).unwrap().1)
        .collect();
    for response in &mut responses {
        assert_pending!(response.poll());
    }
    tokio::time::sleep(15 * MS).await;
    let error = assert_ready_err!(responses[0].poll());
    assert_eq!(
        error.downcast_ref::<Elapsed>().unwrap().timeout(),
        Some(10 * MS)
    );
    assert_pending!(responses[1].poll());
    tokio::time::sleep(Duration::from_secs(60 * 60)).await;
    assert!(responses[1].is_woken());
    assert_ready_err!(responses[1].poll());
    assert_pending!(responses[2].poll());
    assert!(!responses[2].is_woken());
    drop(held);
}

fn in_millis(millis: u32) -> Deadline {
    Deadline::after(Instant::now(), MS * millis)
}

#[tokio::test(start_paused = true)]
async fn a_request_after_its_deadline_is_not_sent() {
    let layer = EnforceDeadlineLayer::new(|deadline: &Deadline| Some(*deadline));
    let (mut service, mut handle) = mock::spawn_layer::<Deadline, (), _>(layer);
    handle.allow(1);
    let deadline = in_millis(10);
    tokio::time::sleep(10 * MS).await;
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(deadline));
    let error = assert_ready_err!(response.poll());
    assert_eq!(error.to_string(), "deadline exceeded");
    assert_eq!(
        error.downcast_ref::<DeadlineExceeded>().unwrap().deadline(),
        Some(deadline)
    );
    assert_pending!(handle.poll_request());
    // The limit's only permit is still free.
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(in_millis(10)));
    assert_pending!(response.poll());
    assert_ready!(handle.poll_request())
        .unwrap()
        .1
        .send_response(());
    assert_ready_ok!(response.poll());
}

#[tokio::test(start_paused = true)]
async fn the_request_is_dropped_at_its_deadline() {
    let layer = EnforceDeadlineLayer::new(|deadline: &Deadline| Some(*deadline));
    let (mut service, mut handle) = mock::spawn_layer::<Deadline, (), _>(layer);
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(in_millis(10)));
    assert_pending!(response.poll());
    let (_, send) = assert_ready!(handle.poll_request()).unwrap();
    tokio::time::sleep(9 * MS).await;
    assert!(!send.is_cancelled() && !response.is_woken());
    tokio::time::sleep(2 * MS).await;
    assert!(response.is_woken());
    assert_ready_err!(response.poll());
    // The future still exists, but has dropped the inner response.
    assert!(send.is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_deadline_never_times_out_and_is_cancelled_by_dropping() {
    let layer = EnforceDeadlineLayer::new(|_: &u32| None);
    let (mut service, mut handle) = mock::spawn_layer::<u32, (), _>(layer);
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(1));
    assert_pending!(response.poll());
    let (_, send) = assert_ready!(handle.poll_request()).unwrap();
    tokio::time::sleep(Duration::from_secs(1 << 20)).await;
    assert_pending!(response.poll());
    drop(response);
    assert!(send.is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn a_deadline_beyond_the_clock_is_in_the_far_future() {
    let now = Instant::now();
    let deadline = Deadline::after(now, Duration::MAX);
    assert!(deadline.remaining(now) > Duration::from_secs(1 << 29));
}

proptest! {
    #[test]
    fn what_remains_only_shrinks(timeout in 0..1_000_000_u64, steps in prop::collection::vec(0..1000_u64, 0..20)) {
        let mut now = Instant::now();
        let deadline = Deadline::after(now, MS * timeout as u32);
        let mut left = deadline.remaining(now);
        for step in steps {
            now += Duration::from_millis(step);
            prop_assert!(deadline.remaining(now) <= left);
            left = deadline.remaining(now);
            prop_assert_eq!(left.is_zero(), deadline.has_passed(now));
        }
    }
}

/// The inner response is dropped at the deadline, not with the outer future.
#[tokio::test(start_paused = true)]
async fn a_dropped_response_releases_what_it_held() {
    let held = Arc::new(());
    let alive = Arc::clone(&held);
    let service = tower_util::service_fn(move |_: Deadline| {
        let alive = Arc::clone(&alive);
        async move {
            std::future::pending::<()>().await;
            drop(alive);
            Ok::<_, tower_util::BoxError>(())
        }
    });
    let mut service =
        tower_timeout::EnforceDeadline::new(service, |deadline: &Deadline| Some(*deadline));
    let mut response = std::pin::pin!(tower_service::Service::call(&mut service, in_millis(5)));
    assert!((&mut response).await.is_err());
    assert_eq!(Arc::strong_count(&held), 2, "this one and the service's");
}
