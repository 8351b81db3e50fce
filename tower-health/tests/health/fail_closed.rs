use std::future::pending;
use std::time::Duration;

use tokio::time::advance;
use tokio_test::{assert_pending, assert_ready_ok};
use tower_balance::p2c::Balance;
use tower_balance::picker::{LeastLoaded, RingHash};
use tower_discover::{ServiceList, channel};
use tower_health::check::{CheckConfig, Verdict};
use tower_health::error::NoHealthyEndpoints;
use tower_health::policy::accrual::AccrualConfig;
use tower_health::policy::outlier::OutlierConfig;
use tower_health::{ErrorIsFailure, Health, HealthExt};
use tower_service::Service;
use tower_test::mock::Spawn;
use tower_util::{BoxError, service_fn};

use crate::{Inner, SECOND, endpoint, send};

fn health<K>() -> Health<K> {
    let health = Health::new();
    health.set_panic_threshold(0);
    health.set_fail_closed(true);
    health
}

/// Asserts that two requests both fail immediately.
async fn refuses<S>(balance: &mut Spawn<S>)
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    for n in 0..2 {
        assert_ready_ok!(balance.poll_ready());
        let error = balance.call(n).await.unwrap_err();
        assert!(error.is::<NoHealthyEndpoints>(), "{error}");
    }
}

macro_rules! accruing {
    ($endpoints:expr, $health:expr, $picker:expr) => {
        Spawn::new(
            Balance::builder(
                ServiceList::new::<u32>($endpoints)
                    .share_health($health.clone())
                    .accrue_failures(AccrualConfig::default(), ErrorIsFailure)
                    .unwrap(),
            )
            .reject_if($health.rejection())
            .pick($picker)
            .build::<u32>(),
        )
    };
}

#[tokio::test(start_paused = true)]
async fn requests_fail_immediately_only_while_all_endpoints_are_ejected() {
    let health = health();
    let (a, mut handle) = endpoint(0);
    let mut balance = accruing!([a], health, LeastLoaded::new());
    for _ in 0..5 {
        send(&mut balance, &mut handle, false).await;
    }
    assert_eq!((health.healthy(), health.len()), (0, 1));
    refuses(&mut balance).await;
    // The endpoint is probed, and while the probe is in flight, other requests fail immediately.
    advance(Duration::from_secs(30)).await;
    assert_ready_ok!(balance.poll_ready());
    let probe = balance.call(1);
    refuses(&mut balance).await;
    handle.next_request().await.unwrap().1.send_response(1);
    assert_eq!(probe.await.unwrap(), 1);
    send(&mut balance, &mut handle, true).await;
}

#[tokio::test(start_paused = true)]
async fn requests_of_a_hashing_picker_fail_immediately_too() {
    let health = health();
    let (a, mut handle) = endpoint(0);
    let by_key = RingHash::by(|n: &u32| Some(u64::from(*n)));
    let mut balance = accruing!([a], health, by_key);
    for _ in 0..5 {
        send(&mut balance, &mut handle, false).await;
    }
    refuses(&mut balance).await;
}

/// By default, and while one of the endpoints may become ready.
#[tokio::test(start_paused = true)]
async fn requests_wait_by_default_or_while_an_endpoint_connects() {
    let health = health();
    let ((a, mut handle), (b, mut connecting)) = (endpoint(0), endpoint(0));
    connecting.allow(0);
    let mut balance = accruing!([a, b], health, LeastLoaded::new());
    for _ in 0..5 {
        send(&mut balance, &mut handle, false).await;
    }
    assert_eq!((health.healthy(), health.len()), (1, 2));
    assert_pending!(balance.poll_ready());
    connecting.allow(1);
    assert!(balance.is_woken());
    assert_ready_ok!(balance.poll_ready());

    let (a, mut handle) = endpoint(0);
    let health = Health::new();
    health.set_panic_threshold(0);
    let mut balance = accruing!([a], health, LeastLoaded::new());
    for _ in 0..5 {
        send(&mut balance, &mut handle, false).await;
    }
    assert_pending!(balance.poll_ready());
}

/// With a panic threshold, all endpoints are used when all are ejected.
#[tokio::test(start_paused = true)]
async fn panic_mode_takes_precedence() {
    let health = Health::new();
    health.set_fail_closed(true);
    let (a, mut handle) = endpoint(0);
    let mut balance = accruing!([a], health, LeastLoaded::new());
    for _ in 0..20 {
        send(&mut balance, &mut handle, false).await;
    }
    assert!(health.is_panic());
}

#[tokio::test(start_paused = true)]
async fn a_waiting_request_fails_when_the_last_endpoint_is_ejected() {
    let health = health();
    let ((a, mut handle), (b, mut connecting)) = (endpoint(0), endpoint(0));
    connecting.allow(0);
    let (sender, discover) = channel::<&str, Inner>(4);
    let config = OutlierConfig::default()
        .consecutive(Some(3))
        .max_ejection_percent(100);
    let mut balance = Spawn::new(
        Balance::builder(
            discover
                .share_health(health.clone())
                .eject_outliers(config, ErrorIsFailure)
                .unwrap(),
        )
        .reject_if(health.rejection())
        .build::<u32>(),
    );
    sender.insert("a", a).await.unwrap();
    sender.insert("b", b).await.unwrap();
    for _ in 0..3 {
        send(&mut balance, &mut handle, false).await;
    }
    assert_pending!(balance.poll_ready());
    sender.remove("b").await.unwrap();
    assert!(balance.is_woken());
    refuses(&mut balance).await;
    // Its ejection ends.
    advance(31 * SECOND).await;
    send(&mut balance, &mut handle, true).await;
}

#[tokio::test(start_paused = true)]
async fn requests_wait_for_an_endpoint_that_is_not_checked_yet() {
    let health = health();
    let (sender, discover) = channel::<&str, Inner>(4);
    let check = service_fn(async |key| match key {
        "bad" => Ok::<_, BoxError>(Verdict::Unhealthy),
        _ => pending().await,
    });
    let config = CheckConfig::default().timeout(SECOND).thresholds(1, 1);
    let mut balance = Spawn::new(
        Balance::builder(
            discover
                .share_health(health.clone())
                .check_health(config, check)
                .unwrap(),
        )
        .reject_if(health.rejection())
        .build::<u32>(),
    );
    let ((bad, _bad_handle), (slow, _slow_handle)) = (endpoint(0), endpoint(0));
    sender.insert("bad", bad).await.unwrap();
    sender.insert("slow", slow).await.unwrap();
    assert_pending!(balance.poll_ready());
    // Its check times out.
    advance(2 * SECOND).await;
    assert!(balance.is_woken());
    refuses(&mut balance).await;
}
