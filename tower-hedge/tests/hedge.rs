//! When a hedge is sent, and which result is returned.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::advance;
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task};
use tower_hedge::{Hedge, HedgeLayer, Policy};
use tower_retry::budget::Budget;
use tower_test::mock::{self, Handle, Mock, Spawn};

type Inner = Mock<u32, u32>;

const MS: Duration = Duration::from_millis(1);
/// Slightly longer than the requests of the last period took.
const SLOW: Duration = Duration::from_millis(11);
const PERIOD: Duration = Duration::from_secs(60);

/// Odd requests may be cloned; those below 100 may be hedged.
#[derive(Clone, Debug)]
struct Odd;

impl Policy<u32> for Odd {
    fn clone_request(&self, request: &u32) -> Option<u32> {
        (request % 2 == 1).then_some(*request)
    }

    fn can_retry(&self, request: &u32) -> bool {
        *request < 100
    }
}

/// Returns a service whose requests have taken 10 ms so far.
fn hedge() -> (Spawn<Hedge<Inner, Odd>>, Handle<u32, u32>) {
    mock::spawn_with(|inner: Inner| {
        Hedge::new_with_mock_latencies(inner, Odd, 10, 0.9, PERIOD, &[10; 10])
    })
}

#[tokio::test(start_paused = true)]
async fn a_slow_request_is_sent_again_and_the_second_may_win() {
    let (mut service, mut handle) = hedge();
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(1));
    let (_, first) = assert_ready!(handle.poll_request()).unwrap();
    assert_pending!(response.poll());
    advance(10 * MS).await;
    assert_pending!(response.poll());
    assert_pending!(handle.poll_request());
    advance(MS).await;
    assert!(response.is_woken());
    assert_pending!(response.poll());
    let (request, second) = assert_ready!(handle.poll_request()).unwrap();
    assert_eq!(request, 1);
    second.send_response(2);
    assert!(response.is_woken());
    assert_eq!(assert_ready_ok!(response.poll()), 2);
    assert!(first.is_cancelled(), "the loser is dropped");
}

#[tokio::test(start_paused = true)]
async fn the_first_may_win() {
    let (mut service, mut handle) = hedge();
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(1));
    let (_, first) = assert_ready!(handle.poll_request()).unwrap();
    assert_pending!(response.poll());
    advance(SLOW).await;
    assert_pending!(response.poll());
    let (_, second) = assert_ready!(handle.poll_request()).unwrap();
    first.send_response(3);
    assert!(response.is_woken());
    assert_eq!(assert_ready_ok!(response.poll()), 3);
    assert!(second.is_cancelled(), "the loser is dropped");
}

#[tokio::test(start_paused = true)]
async fn a_fast_request_is_sent_once() {
    let (mut service, mut handle) = hedge();
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(1));
    let (_, first) = assert_ready!(handle.poll_request()).unwrap();
    assert_pending!(response.poll());
    first.send_response(3);
    assert_eq!(assert_ready_ok!(response.poll()), 3);
    advance(SLOW).await;
    assert_pending!(handle.poll_request());
}

#[tokio::test(start_paused = true)]
async fn the_policy_decides() {
    for request in [2, 101] {
        let (mut service, mut handle) = hedge();
        assert_ready_ok!(service.poll_ready());
        let mut response = task::spawn(service.call(request));
        let (_, first) = assert_ready!(handle.poll_request()).unwrap();
        assert_pending!(response.poll());
        advance(SLOW).await;
        assert_pending!(response.poll());
        assert_pending!(handle.poll_request());
        first.send_response(3);
        assert_eq!(assert_ready_ok!(response.poll()), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_of_one_attempt_does_not_end_the_other() {
    for failing in [0, 1] {
        let (mut service, mut handle) = hedge();
        assert_ready_ok!(service.poll_ready());
        let mut response = task::spawn(service.call(1));
        let first = assert_ready!(handle.poll_request()).unwrap().1;
        assert_pending!(response.poll());
        advance(SLOW).await;
        assert_pending!(response.poll());
        let second = assert_ready!(handle.poll_request()).unwrap().1;
        let mut sent = [Some(first), Some(second)];
        sent[failing].take().unwrap().send_error("failed");
        assert_pending!(response.poll());
        sent[1 - failing].take().unwrap().send_response(7);
        assert!(response.is_woken());
        assert_eq!(assert_ready_ok!(response.poll()), 7);
    }
}

#[tokio::test(start_paused = true)]
async fn if_both_fail_the_error_of_the_first_attempt_is_returned() {
    for order in [[0, 1], [1, 0]] {
        let (mut service, mut handle) = hedge();
        assert_ready_ok!(service.poll_ready());
        let mut response = task::spawn(service.call(1));
        let first = assert_ready!(handle.poll_request()).unwrap().1;
        assert_pending!(response.poll());
        advance(SLOW).await;
        assert_pending!(response.poll());
        let second = assert_ready!(handle.poll_request()).unwrap().1;
        let mut sent = [Some((first, "first")), Some((second, "second"))];
        for (n, index) in order.into_iter().enumerate() {
            let (send, error) = sent[index].take().unwrap();
            send.send_error(error);
            if n == 0 {
                assert_pending!(response.poll());
            }
        }
        assert_eq!(assert_ready_err!(response.poll()).to_string(), "first");
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_before_the_hedge_is_returned_immediately() {
    let (mut service, mut handle) = hedge();
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(1));
    let (_, first) = assert_ready!(handle.poll_request()).unwrap();
    assert_pending!(response.poll());
    first.send_error("failed");
    assert_eq!(assert_ready_err!(response.poll()).to_string(), "failed");
    advance(SLOW).await;
    assert_pending!(handle.poll_request());
}

#[tokio::test(start_paused = true)]
async fn the_hedge_waits_for_readiness_while_the_first_attempt_continues() {
    let (mut service, mut handle) = hedge();
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(1));
    let (_, first) = assert_ready!(handle.poll_request()).unwrap();
    assert_pending!(response.poll());
    advance(SLOW).await;
    assert_pending!(response.poll());
    assert_pending!(handle.poll_request());
    first.send_response(3);
    assert_eq!(assert_ready_ok!(response.poll()), 3);
}

/// Counts the deposits and withdrawals, and allows a fixed number of hedges.
#[derive(Default)]
struct Fixed {
    left: AtomicU32,
    deposits: AtomicU32,
}

impl Budget for Fixed {
    fn deposit(&self) {
        self.deposits.fetch_add(1, Ordering::Relaxed);
    }

    fn withdraw(&self) -> bool {
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            })
            .is_ok()
    }
}

#[tokio::test(start_paused = true)]
async fn the_budget_limits_the_hedges_of_all_clones() {
    let budget = Arc::new(Fixed {
        left: 1.into(),
        ..Fixed::default()
    });
    let (mut service, mut handle) = mock::spawn_with(|inner: Inner| {
        Hedge::new_with_mock_latencies(inner, Odd, 10, 0.9, PERIOD, &[10; 10])
            .with_budget(budget.clone())
    });
    let mut clone = service.clone();
    let mut responses = Vec::new();
    for service in [&mut service, &mut clone] {
        assert_ready_ok!(service.poll_ready());
        responses.push(task::spawn(service.call(1)));
    }
    for response in &mut responses {
        assert_pending!(response.poll());
    }
    advance(SLOW).await;
    for response in &mut responses {
        assert_pending!(response.poll());
    }
    for _ in 0..3 {
        assert_ready!(handle.poll_request())
            .unwrap()
            .1
            .send_response(1);
    }
    assert_pending!(handle.poll_request());
    for response in &mut responses {
        assert_ready_ok!(response.poll());
    }
    assert_eq!(budget.deposits.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn slow_requests_are_measured() {
    let layer = HedgeLayer::new(Odd, 10, 0.9, PERIOD);
    let (mut service, mut handle) = mock::spawn_layer::<u32, u32, _>(layer);
    for _ in 0..10 {
        assert_ready_ok!(service.poll_ready());
        let mut response = task::spawn(service.call(1));
        let (_, first) = assert_ready!(handle.poll_request()).unwrap();
        assert_pending!(response.poll());
        advance(100 * MS).await;
        assert_pending!(response.poll());
        first.send_response(1);
        assert_ready_ok!(response.poll());
    }
    assert_pending!(handle.poll_request());
    advance(PERIOD - 1000 * MS).await;

    // The first attempt is recorded both if it has lost and if it was cancelled.
    for n in 0..10 {
        assert_ready_ok!(service.poll_ready());
        let mut response = task::spawn(service.call(1));
        let (_, _first) = assert_ready!(handle.poll_request()).unwrap();
        assert_pending!(response.poll());
        advance(99 * MS).await;
        assert_pending!(response.poll());
        assert_pending!(handle.poll_request());
        advance(3 * MS).await;
        assert_pending!(response.poll());
        let (_, second) = assert_ready!(handle.poll_request()).unwrap();
        advance(400 * MS).await;
        if n % 2 == 0 {
            second.send_response(1);
            assert_ready_ok!(response.poll());
        }
    }
    advance(PERIOD - 5000 * MS).await;
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(1));
    let (_, _first) = assert_ready!(handle.poll_request()).unwrap();
    assert_pending!(response.poll());
    advance(500 * MS).await;
    assert_pending!(response.poll());
    assert_pending!(handle.poll_request());
    advance(8 * MS).await;
    assert_pending!(response.poll());
    assert_ready!(handle.poll_request()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_dropped_response_drops_both_requests() {
    let (mut service, mut handle) = hedge();
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(1));
    let (_, first) = assert_ready!(handle.poll_request()).unwrap();
    assert_pending!(response.poll());
    advance(SLOW).await;
    assert_pending!(response.poll());
    let (_, second) = assert_ready!(handle.poll_request()).unwrap();
    drop(response);
    assert!(first.is_cancelled() && second.is_cancelled());
}

#[test]
fn no_parameter_panics() {
    for period in [Duration::ZERO, Duration::MAX] {
        let (mut service, mut handle) =
            mock::spawn_with(|inner: Inner| Hedge::new(inner, Odd, 0, f32::NAN, period));
        assert_ready_ok!(service.poll_ready());
        let mut response = task::spawn(service.call(1));
        let (_, first) = assert_ready!(handle.poll_request()).unwrap();
        assert_pending!(response.poll());
        first.send_response(2);
        assert_ready_ok!(response.poll());
    }
}
