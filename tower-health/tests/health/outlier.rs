use std::sync::{Arc, Mutex};
use std::task::Poll;

use futures_util::future::poll_fn;
use tokio::time::{Instant, advance, timeout};
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok};
use tower_balance::error::NoEndpoints;
use tower_balance::p2c::Balance;
use tower_balance::picker::{LeastLoaded, RingHash};
use tower_classify::{Class, FailureKind};
use tower_discover::{ServiceList, channel};
use tower_health::policy::outlier::{Cause, OutlierConfig};
use tower_health::{EjectOutliers, ErrorIsFailure, Health, Reason, Standing};
use tower_service::Service;
use tower_test::mock::Spawn;
use tower_util::{BoxError, ServiceExt};

use crate::{Inner, Requests, SECOND, endpoint, gets_any, send};

const EJECTED: Standing = Standing::Ejected(Reason::Outlier(Cause::Consecutive));

fn config() -> OutlierConfig {
    OutlierConfig::default()
        .consecutive(Some(3))
        .max_ejection_percent(100)
}

type List = ServiceList<Vec<Inner>>;

fn balance(
    endpoints: Vec<Inner>,
    health: &Health<usize>,
) -> Spawn<Balance<EjectOutliers<List, ErrorIsFailure>, u32, LeastLoaded>> {
    let list = ServiceList::new::<u32>(endpoints);
    let discover = EjectOutliers::new(list, config(), ErrorIsFailure).unwrap();
    let discover = discover.with_health(health.clone());
    Spawn::new(Balance::with_picker(discover, LeastLoaded::of_all()))
}

/// The first is preferred.
fn three() -> (Vec<Inner>, [Requests; 3]) {
    let (endpoints, handles): (Vec<_>, Vec<_>) = (0..3).map(endpoint).unzip();
    (endpoints, handles.try_into().unwrap())
}

#[tokio::test(start_paused = true)]
async fn an_ejected_endpoint_receives_nothing_until_its_ejection_ends_and_then_wakes_the_balancer()
{
    let health = Health::new();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::clone(&heard);
    health.on_change(move |key, standing| hook.lock().unwrap().push((*key, standing)));
    let (bad, mut bad_handle) = endpoint(0);
    let (good, mut good_handle) = endpoint(9);
    let mut balance = balance(vec![bad, good], &health);
    for _ in 0..3 {
        send(&mut balance, &mut bad_handle, false).await;
    }
    assert_eq!(health.standing(&0), Some((EJECTED, Instant::now())));
    for _ in 0..20 {
        send(&mut balance, &mut good_handle, true).await;
    }
    assert!(!gets_any(&mut balance, &mut bad_handle));

    // 30 s: the third sweep.
    for _ in 0..2 {
        advance(10 * SECOND).await;
        assert!(!gets_any(&mut balance, &mut bad_handle));
    }
    advance(9 * SECOND).await;
    assert!(!balance.is_woken());
    advance(SECOND).await;
    assert!(balance.is_woken());
    send(&mut balance, &mut bad_handle, true).await;
    let heard = heard.lock().unwrap();
    assert_eq!(*heard, [(0, EJECTED), (0, Standing::Healthy)]);
}

#[tokio::test(start_paused = true)]
async fn an_idle_balancer_is_woken_when_its_only_endpoint_returns() {
    let health = Health::new();
    health.set_panic_threshold(0);
    let (bad, mut handle) = endpoint(0);
    let mut balance = balance(vec![bad], &health);
    for _ in 0..3 {
        send(&mut balance, &mut handle, false).await;
    }
    assert_pending!(balance.poll_ready());
    let began = Instant::now();
    let mut balance = balance.into_inner();
    timeout(60 * SECOND, balance.ready())
        .await
        .expect("it returns")
        .unwrap();
    assert_eq!(began.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn ejections_are_ignored_while_too_few_endpoints_are_healthy() {
    let health = Health::new();
    let (endpoints, mut handles) = three();
    let mut balance = balance(endpoints, &health);
    for _ in 0..3 {
        send(&mut balance, &mut handles[0], false).await;
    }
    assert!(!health.is_panic(), "two of three are healthy");
    for _ in 0..3 {
        send(&mut balance, &mut handles[1], false).await;
    }
    assert_eq!(
        (health.healthy(), health.len(), health.is_panic()),
        (1, 3, true)
    );
    assert!(balance.is_woken());
    assert!(gets_any(&mut balance, &mut handles[0]));

    health.set_panic_threshold(30);
    assert!(!health.is_panic());
    assert!(!gets_any(&mut balance, &mut handles[0]));
    assert!(!gets_any(&mut balance, &mut handles[1]));
    assert!(gets_any(&mut balance, &mut handles[2]));
}

#[tokio::test(start_paused = true)]
async fn when_all_are_ejected_all_are_used_or_requests_wait_with_threshold_zero() {
    let health = Health::new();
    let (only, mut handle) = endpoint(0);
    let mut balance = balance(vec![only], &health);
    assert!(!health.is_panic() && health.is_empty());
    for _ in 0..9 {
        send(&mut balance, &mut handle, false).await;
    }
    assert_eq!(health.standing(&0).unwrap().0, EJECTED);
    assert!(health.is_panic());
    health.set_panic_threshold(0);
    assert_pending!(balance.poll_ready());
    health.set_panic_threshold(50);
    assert!(balance.is_woken());
    assert_ready_ok!(balance.poll_ready());
}

#[tokio::test(start_paused = true)]
async fn cancelled_and_ignored_requests_do_not_count_and_others_count_once() {
    let health = Health::new();
    let (only, mut handle) = endpoint(0);
    let list = ServiceList::new::<u32>([only]);
    let classify = |result: Result<&u32, &BoxError>| match result {
        Ok(_) => Class::Ignored,
        Err(_) => Class::failure(FailureKind::Internal),
    };
    let discover = EjectOutliers::new(list, config(), classify).unwrap();
    let mut balance = Spawn::new(Balance::new(discover.with_health(health.clone())));
    send(&mut balance, &mut handle, false).await;
    send(&mut balance, &mut handle, false).await;
    send(&mut balance, &mut handle, true).await;
    assert!(
        gets_any(&mut balance, &mut handle),
        "and the requests are dropped"
    );
    assert_eq!(health.standing(&0).unwrap().0, Standing::Healthy);
    send(&mut balance, &mut handle, false).await;
    assert_eq!(health.standing(&0).unwrap().0, EJECTED);
}

/// An endpoint that rejects excess load works; ejecting it would move its load to the others.
#[tokio::test(start_paused = true)]
async fn a_rejection_of_excess_load_does_not_count() {
    for (kind, expected) in [
        (FailureKind::Overloaded, Standing::Healthy),
        (FailureKind::Unavailable, EJECTED),
    ] {
        let health = Health::new();
        let (only, mut handle) = endpoint(0);
        let list = ServiceList::new::<u32>([only]);
        let classify = move |result: Result<&u32, &BoxError>| match result {
            Ok(_) => Class::Success,
            Err(_) => Class::failure(kind),
        };
        let discover = EjectOutliers::new(list, config(), classify).unwrap();
        let mut balance = Spawn::new(Balance::new(discover.with_health(health.clone())));
        for _ in 0..3 {
            send(&mut balance, &mut handle, false).await;
        }
        assert_eq!(health.standing(&0).unwrap().0, expected, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_removed_while_ejected_and_added_again_has_no_history() {
    let health = Health::new();
    health.set_panic_threshold(0);
    let (sender, discover) = channel::<&str, Inner>(8);
    let discover = EjectOutliers::new(discover, config(), ErrorIsFailure).unwrap();
    let mut balance = Spawn::new(Balance::new(discover.with_health(health.clone())));
    let (a, mut handle) = endpoint(0);
    sender.insert("a", a).await.unwrap();
    for _ in 0..3 {
        send(&mut balance, &mut handle, false).await;
    }
    // A new service of the same endpoint is ejected as well.
    let (again, mut again_handle) = endpoint(0);
    sender.insert("a", again).await.unwrap();
    assert_pending!(balance.poll_ready());

    let running = {
        health.set_panic_threshold(50);
        assert_ready_ok!(balance.poll_ready());
        balance.call(7)
    };
    sender.remove("a").await.unwrap();
    assert_pending!(balance.poll_ready());
    assert!(health.is_empty() && health.standing(&"a").is_none());
    health.set_panic_threshold(0);

    let (fresh, mut fresh_handle) = endpoint(0);
    sender.insert("a", fresh).await.unwrap();
    send(&mut balance, &mut fresh_handle, false).await;
    // A request to the removed endpoint does not count for the new one.
    drop((running, handle.poll_request(), again_handle.poll_request()));
    send(&mut balance, &mut fresh_handle, false).await;
    assert_eq!(health.standing(&"a").unwrap().0, Standing::Healthy);
    send(&mut balance, &mut fresh_handle, false).await;
    assert_pending!(balance.poll_ready());
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_discovery_has_ended_and_the_last_endpoint_is_dropped() {
    let health = Health::new();
    let mut empty = balance(Vec::new(), &health);
    assert!(assert_ready_err!(empty.poll_ready()).is::<NoEndpoints>());

    let (only, mut handle) = endpoint(0);
    let mut balance = balance(vec![only], &health);
    assert_ready_ok!(balance.poll_ready());
    handle.send_error("broken");
    assert_pending!(balance.poll_ready());
    assert!(balance.is_woken());
    assert!(assert_ready_err!(balance.poll_ready()).is::<NoEndpoints>());
}

/// Polls the balancer whenever it is woken, and counts the polls.
#[tokio::test(start_paused = true)]
async fn an_idle_balancer_is_polled_once_for_each_sweep() {
    let (only, mut handle) = endpoint(0);
    handle.allow(0);
    let list = ServiceList::new::<u32>([only]);
    let (_sender, never) = channel::<usize, Inner>(1);
    let list = futures_util::stream::StreamExt::chain(list, never);
    let discover = EjectOutliers::new(list, config(), ErrorIsFailure).unwrap();
    let mut balance = Balance::<_, u32>::new(discover);
    let mut polls = 0;
    let idle = poll_fn(|cx| {
        polls += 1;
        assert!(polls < 100, "a busy loop");
        balance.poll_ready(cx)
    });
    assert!(timeout(101 * SECOND, idle).await.is_err());
    assert!((11..=13).contains(&polls), "{polls}");
}

#[tokio::test(start_paused = true)]
async fn while_the_clock_is_paused_nothing_is_swept_and_no_endpoint_returns() {
    let health = Health::new();
    let (endpoints, mut handles) = three();
    let mut balance = balance(endpoints, &health);
    for _ in 0..3 {
        send(&mut balance, &mut handles[0], false).await;
    }
    assert_ready_ok!(balance.poll_ready());
    for _ in 0..100 {
        tokio::task::yield_now().await;
        assert!(!balance.is_woken());
        assert!(!gets_any(&mut balance, &mut handles[0]));
    }
}

/// A hashing picker must not use an endpoint that was ejected after it became ready.
#[tokio::test(start_paused = true)]
async fn a_hashing_picker_skips_an_endpoint_that_was_ejected_by_another_request() {
    let health = Health::new();
    let (endpoints, mut handles) = three();
    let list = ServiceList::new::<u32>(endpoints);
    let discover = EjectOutliers::new(list, config(), ErrorIsFailure).unwrap();
    let discover = discover.with_health(health.clone());
    let picker = RingHash::by(|_: &u32| Some(7));
    let mut balance = Spawn::new(Balance::with_picker(discover, picker));
    let mut running = Vec::new();
    for n in 0..4 {
        assert_ready_ok!(balance.poll_ready());
        running.push(balance.call(n));
    }
    let owner = handles
        .iter_mut()
        .position(|handle| match handle.poll_request() {
            Poll::Ready(Some((_, answer))) => {
                answer.send_error("failed");
                true
            }
            _ => false,
        });
    let handle = &mut handles[owner.expect("one has the key")];
    while let Poll::Ready(Some((_, answer))) = handle.poll_request() {
        answer.send_error("failed");
    }
    assert_ready_ok!(balance.poll_ready());
    for response in running {
        response.await.unwrap_err();
    }
    assert!(
        balance.is_woken(),
        "the balancer must poll the endpoints again"
    );
    assert!(!gets_any(&mut balance, handle));
    assert!(!health.is_panic());
}

#[test]
fn a_wrapped_balancer_can_be_sent_to_a_task() {
    fn is_send<T: Send>(_: &T) {}
    let balance = balance(Vec::new(), &Health::new());
    is_send(&balance.into_inner());
}

/// A rejection does not count as a success or a failure, but it is a response.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_rejects_requests_is_not_silent() {
    for rejects in [false, true] {
        let health = Health::new();
        health.set_panic_threshold(0);
        let (only, mut handle) = endpoint(0);
        let list = ServiceList::new::<u32>([only]);
        let config = config().count_silence(true);
        let classify = |result: Result<&u32, &BoxError>| match result {
            Ok(_) => Class::Success,
            Err(_) => Class::failure(FailureKind::Overloaded),
        };
        let discover = EjectOutliers::new(list, config, classify).unwrap();
        let discover = discover.with_health(health.clone());
        let mut balance = Spawn::new(Balance::with_picker(discover, LeastLoaded::of_all()));
        let mut waiting = Vec::new();
        for _ in 0..3 {
            assert_ready_ok!(balance.poll_ready());
            let response = balance.call(1);
            waiting.push((response, handle.next_request().await.unwrap().1));
        }
        for _ in 0..3 {
            if rejects {
                send(&mut balance, &mut handle, false).await;
            }
            advance(10 * SECOND).await;
            let _: Poll<Result<(), BoxError>> = balance.poll_ready();
        }
        let expected = if rejects { Standing::Healthy } else { EJECTED };
        assert_eq!(health.standing(&0).unwrap().0, expected);
    }
}

/// Three requests without a response, and the standing of the endpoint after each interval.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_silent_for_an_interval_is_ejected_until_it_answers() {
    for counts in [false, true] {
        let health = Health::new();
        let (hung, mut hung_handle) = endpoint(0);
        let (good, mut good_handle) = endpoint(9);
        let list = ServiceList::new::<u32>(vec![hung, good]);
        let config = config().count_silence(counts);
        let discover = EjectOutliers::new(list, config, ErrorIsFailure).unwrap();
        let discover = discover.with_health(health.clone());
        let mut balance = Spawn::new(Balance::with_picker(discover, LeastLoaded::of_all()));
        let mut requests = Vec::new();
        let mut waiting = Vec::new();
        for _ in 0..3 {
            assert_ready_ok!(balance.poll_ready());
            requests.push(balance.call(1));
            waiting.push(hung_handle.next_request().await.unwrap().1);
        }
        let standing = || health.standing(&0).unwrap().0;
        let sweep = async |balance: &mut Spawn<_>| {
            advance(10 * SECOND).await;
            let _: Poll<Result<(), BoxError>> = balance.poll_ready();
        };
        // The requests did not wait for all of the first interval.
        advance(5 * SECOND).await;
        sweep(&mut balance).await;
        assert_eq!(standing(), Standing::Healthy);
        sweep(&mut balance).await;
        if !counts {
            assert_eq!(standing(), Standing::Healthy);
            continue;
        }
        assert_eq!(standing(), EJECTED);
        send(&mut balance, &mut good_handle, true).await;

        // The endpoint was only slow.
        waiting.remove(0).send_response(1);
        requests.remove(0).await.unwrap();
        assert_eq!(standing(), Standing::Healthy);
        assert!(balance.is_woken());
        send(&mut balance, &mut hung_handle, true).await;
        // Two requests are still in flight.
        for _ in 0..9 {
            sweep(&mut balance).await;
            assert_eq!(standing(), Standing::Healthy);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_answers_some_requests_is_not_silent() {
    let health = Health::new();
    let (slow, mut handle) = endpoint(0);
    let (other, _other_handle) = endpoint(9);
    let list = ServiceList::new::<u32>(vec![slow, other]);
    let config = config().count_silence(true);
    let discover = EjectOutliers::new(list, config, ErrorIsFailure).unwrap();
    let discover = discover.with_health(health.clone());
    let mut balance = Spawn::new(Balance::with_picker(discover, LeastLoaded::of_all()));
    let mut waiting = Vec::new();
    for _ in 0..10 {
        assert_ready_ok!(balance.poll_ready());
        let response = balance.call(1);
        waiting.push((response, handle.next_request().await.unwrap().1));
    }
    for _ in 0..9 {
        send(&mut balance, &mut handle, true).await;
        advance(10 * SECOND).await;
        assert_ready_ok!(balance.poll_ready());
        assert_eq!(health.standing(&0).unwrap().0, Standing::Healthy);
    }
    // A failure does not undo an ejection for failures.
    for _ in 0..3 {
        send(&mut balance, &mut handle, false).await;
    }
    assert_eq!(health.standing(&0).unwrap().0, EJECTED);
    let (response, answer) = waiting.remove(0);
    answer.send_response(1);
    response.await.unwrap();
    assert_eq!(health.standing(&0).unwrap().0, EJECTED);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_can_be_returned_early() {
    let health = Health::new();
    let (bad, mut bad_handle) = endpoint(0);
    let (good, _good_handle) = endpoint(9);
    let list = ServiceList::new::<u32>(vec![bad, good]);
    let discover = EjectOutliers::new(list, config(), ErrorIsFailure).unwrap();
    let discover = discover.with_health(health.clone());
    let uneject = discover.uneject();
    assert!(!uneject.uneject(&0), "not added yet");
    let mut balance = Spawn::new(Balance::with_picker(discover, LeastLoaded::of_all()));
    for _ in 0..3 {
        send(&mut balance, &mut bad_handle, false).await;
    }
    assert_eq!(health.standing(&0).unwrap().0, EJECTED);
    assert!(!uneject.uneject(&9) && uneject.uneject(&0) && !uneject.uneject(&0));
    assert_eq!(health.standing(&0).unwrap().0, Standing::Healthy);
    assert!(balance.is_woken());
    for _ in 0..3 {
        send(&mut balance, &mut bad_handle, false).await;
    }
    // The second ejection is twice as long, as if the first had not ended early.
    for interval in 1..=6 {
        assert_eq!(health.standing(&0).unwrap().0, EJECTED, "{interval}");
        advance(10 * SECOND).await;
        let _ = balance.poll_ready();
    }
    assert_eq!(health.standing(&0).unwrap().0, Standing::Healthy);
    drop(balance);
    assert!(!uneject.uneject(&0));
}
