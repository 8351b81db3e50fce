use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::time::{Instant, advance, timeout};
use tokio_test::{assert_pending, assert_ready, assert_ready_ok};
use tower_balance::p2c::Balance;
use tower_balance::picker::LeastLoaded;
use tower_discover::{ServiceList, channel};
use tower_health::policy::accrual::AccrualConfig;
use tower_health::policy::outlier::OutlierConfig;
use tower_health::{AccrueFailures, EjectOutliers, ErrorIsFailure, Health, Reason, Standing};
use tower_load::Constant;
use tower_test::mock::Spawn;
use tower_util::rng::SplitMix;
use tower_util::{BoxError, ServiceExt, service_fn};

use crate::{Inner, SECOND, endpoint, gets_any, send};

const DEAD: Standing = Standing::Ejected(Reason::Dead);

type List = ServiceList<Vec<Inner>>;

/// Endpoints are dead after three failures, for five to ten seconds and then for twice as long.
fn discover(endpoints: Vec<Inner>, health: &Health<usize>) -> AccrueFailures<List, ErrorIsFailure> {
    let list = ServiceList::new::<u32>(endpoints);
    let config = AccrualConfig::never().consecutive(3);
    AccrueFailures::new(list, config, ErrorIsFailure)
        .unwrap()
        .with_rng(SplitMix::with_seed(1))
        .with_health(health.clone())
}

/// A health in which panic mode is never on.
fn health() -> Health<usize> {
    let health = Health::new();
    health.set_panic_threshold(0);
    health
}

#[tokio::test(start_paused = true)]
async fn one_request_probes_a_dead_endpoint_and_its_success_revives_it() {
    let health = health();
    let (bad, mut handle) = endpoint(0);
    let (good, _good_handle) = endpoint(9);
    let mut balance = Spawn::new(Balance::new(discover(vec![bad, good], &health)));
    for _ in 0..3 {
        send(&mut balance, &mut handle, false).await;
    }
    assert_eq!(health.standing(&0).unwrap().0, DEAD);
    assert!(!gets_any(&mut balance, &mut handle));
    advance(4 * SECOND).await;
    assert!(!balance.is_woken() && !gets_any(&mut balance, &mut handle));
    advance(6 * SECOND).await;
    assert!(balance.is_woken());

    assert_ready_ok!(balance.poll_ready());
    assert_eq!(health.standing(&0).unwrap().0, Standing::Probing);
    let probe = balance.call(1);
    let (_, answer) = assert_ready!(handle.poll_request()).unwrap();
    assert!(
        !gets_any(&mut balance, &mut handle),
        "the probe is in flight"
    );
    answer.send_response(1);
    probe.await.unwrap();
    assert!(balance.is_woken());
    assert_eq!(health.standing(&0).unwrap().0, Standing::Healthy);
    assert!(gets_any(&mut balance, &mut handle));
}

#[tokio::test(start_paused = true)]
async fn a_failed_probe_extends_the_wait_and_a_cancelled_one_is_followed_by_another() {
    let health = health();
    let (only, mut handle) = endpoint(0);
    let mut balance = Spawn::new(Balance::new(discover(vec![only], &health)));
    for _ in 0..3 {
        send(&mut balance, &mut handle, false).await;
    }
    assert_pending!(balance.poll_ready());
    advance(10 * SECOND).await;
    assert_ready_ok!(balance.poll_ready());
    let probe = balance.call(1);
    assert_pending!(balance.poll_ready());
    drop(probe);
    assert!(balance.is_woken());
    while handle.poll_request().is_ready() {}
    send(&mut balance, &mut handle, false).await;
    assert_pending!(balance.poll_ready());
    let mut balance = balance.into_inner();
    let failed = Instant::now();
    timeout(60 * SECOND, balance.ready())
        .await
        .expect("the task is woken")
        .unwrap();
    let waited = failed.elapsed().as_secs_f64();
    assert!((10.0..=20.0).contains(&waited), "{waited}");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_panics_is_followed_by_another() {
    let mut calls = 0;
    let service = service_fn(move |_: u32| {
        calls += 1;
        assert!(calls != 4, "the expected panic");
        std::future::ready(if calls < 4 {
            Err(BoxError::from("no"))
        } else {
            Ok(1_u32)
        })
    });
    let list = ServiceList::new::<u32>([Constant::new(service, 0)]);
    let config = AccrualConfig::never().consecutive(3);
    let discover = AccrueFailures::new(list, config, ErrorIsFailure).unwrap();
    let health = health();
    let mut balance = Spawn::new(Balance::new(discover.with_health(health.clone())));
    for _ in 0..3 {
        assert_ready_ok!(balance.poll_ready());
        assert!(balance.call(0).await.is_err());
    }
    assert_pending!(balance.poll_ready());
    advance(10 * SECOND).await;
    assert_ready_ok!(balance.poll_ready());
    assert!(catch_unwind(AssertUnwindSafe(|| balance.call(0))).is_err());
    assert_ready_ok!(balance.poll_ready());
    assert_eq!(balance.call(0).await.unwrap(), 1);
    assert_eq!(health.standing(&0).unwrap().0, Standing::Healthy);
}

#[tokio::test(start_paused = true)]
async fn when_all_are_dead_all_are_used() {
    let health = Health::new();
    let (only, mut handle) = endpoint(0);
    let mut balance = Spawn::new(Balance::new(discover(vec![only], &health)));
    for _ in 0..9 {
        send(&mut balance, &mut handle, false).await;
    }
    assert!(health.is_panic());
    // In panic mode a request is a probe as well; when it fails, the timer must be set again.
    advance(10 * SECOND).await;
    send(&mut balance, &mut handle, false).await;
    assert!(balance.is_woken());
    assert_ready_ok!(balance.poll_ready());
    advance(20 * SECOND).await;
    assert!(balance.is_woken());
    send(&mut balance, &mut handle, true).await;
    assert_eq!(health.standing(&0).unwrap().0, Standing::Healthy);
    assert!(!health.is_panic());
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_removed_while_dead_no_longer_sets_the_timer() {
    let (sender, discover) = channel::<&str, Inner>(8);
    let config = AccrualConfig::never().consecutive(1);
    let health = Health::new();
    health.set_panic_threshold(0);
    let discover = AccrueFailures::new(discover, config, ErrorIsFailure).unwrap();
    let mut balance = Spawn::new(Balance::new(discover.with_health(health.clone())));
    let (a, mut handle) = endpoint(0);
    sender.insert("a", a).await.unwrap();
    send(&mut balance, &mut handle, false).await;
    assert_pending!(balance.poll_ready());
    sender.remove("a").await.unwrap();
    assert_pending!(balance.poll_ready());
    assert!(health.is_empty());
    let (a, mut handle) = endpoint(0);
    sender.insert("a", a).await.unwrap();
    send(&mut balance, &mut handle, true).await;
    assert_eq!(health.standing(&"a").unwrap().0, Standing::Healthy);
}

#[tokio::test(start_paused = true)]
async fn two_wrappers_that_share_the_health_count_each_endpoint_once() {
    let health = Health::new();
    let (endpoints, mut handles): (Vec<_>, Vec<_>) = (0..3).map(endpoint).unzip();
    let config = OutlierConfig::default()
        .consecutive(Some(3))
        .max_ejection_percent(100);
    let discover =
        EjectOutliers::new(discover(endpoints, &health), config, ErrorIsFailure).unwrap();
    let discover = discover.with_health(health.clone());
    let mut balance = Spawn::new(Balance::with_picker(discover, LeastLoaded::of_all()));
    for _ in 0..3 {
        send(&mut balance, &mut handles[0], false).await;
    }
    assert_eq!(
        (health.healthy(), health.len(), health.is_panic()),
        (2, 3, false)
    );
    // Alive again in one wrapper, but not in the other.
    advance(10 * SECOND).await;
    assert!(!gets_any(&mut balance, &mut handles[0]));
    assert!(matches!(
        health.standing(&0).unwrap().0,
        Standing::Ejected(Reason::Outlier(_))
    ));
}
