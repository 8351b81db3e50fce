//! Requests to an endpoint that hangs fail below the balancer, and are charged to the endpoint.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::{Instant, advance};
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower_balance::p2c::Balance;
use tower_classify::cause_ref;
use tower_discover::{Change, ServiceList, channel};
use tower_health::error::Elapsed;
use tower_health::policy::accrual::AccrualConfig;
use tower_health::policy::outlier::OutlierConfig;
use tower_health::{
    EndpointStates, ErrorIsFailure, Health, HealthExt, Standing, TimeoutEndpoint, TimeoutEndpoints,
};
use tower_load::{CompleteOnResponse, Constant, Load, PendingRequests, Weighted};
use tower_service::Service;
use tower_test::mock::Spawn;
use tower_util::{BoxCloneService, BoxError, BoxService, ServiceExt, service_fn};

use crate::{SECOND, endpoint, send};

type Endpoint = Constant<BoxCloneService<u32, u32, BoxError>, u32>;
type Balanced = BoxService<u32, u32, BoxError>;

const MILLISECOND: Duration = Duration::from_millis(1);

/// An endpoint that responds after `time`.
fn responds_after(time: Duration) -> Endpoint {
    let service = service_fn(move |n| async move {
        tokio::time::sleep(time).await;
        Ok::<_, BoxError>(n)
    });
    Constant::new(service.boxed_clone(), 1)
}

/// An endpoint that never responds.
fn hangs() -> Endpoint {
    let service = service_fn(|_| pending::<Result<u32, BoxError>>());
    Constant::new(service.boxed_clone(), 1)
}

/// A health in which panic mode is never on.
fn health() -> Health<usize> {
    let health = Health::new();
    health.set_panic_threshold(0);
    health
}

/// A balancer with each of the two ejecting wrappers outside of a timeout of one second. Both eject after three failures
/// and ignore cancelled requests.
fn balancers(endpoints: impl Fn() -> Vec<Endpoint>) -> [(Balanced, Health<usize>); 2] {
    let (ejects, accrues) = (health(), health());
    let timed = |health: &Health<usize>| {
        ServiceList::new::<u32>(endpoints())
            .share_health(health.clone())
            .timeout_endpoints(SECOND)
    };
    let config = OutlierConfig::default()
        .consecutive(Some(3))
        .max_ejection_percent(100)
        .cancelled_after(None);
    let discover = timed(&ejects).eject_outliers(config, ErrorIsFailure);
    let ejecting = Balance::new(discover.unwrap()).boxed();
    let config = AccrualConfig::never().consecutive(3).cancelled_after(None);
    let discover = timed(&accrues).accrue_failures(config, ErrorIsFailure);
    let accruing = Balance::new(discover.unwrap()).boxed();
    [(ejecting, ejects), (accruing, accrues)]
}

fn is_ejected(health: &Health<usize>, key: usize) -> bool {
    matches!(health.standing(&key).unwrap().0, Standing::Ejected(_))
}

fn assert_elapsed(error: &BoxError) {
    let elapsed = cause_ref::<Elapsed>(error.as_ref()).expect("there is no other error");
    assert_eq!(elapsed.timeout(), Some(SECOND));
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_hangs_is_ejected_after_that_many_timeouts() {
    for (mut balance, health) in balancers(|| vec![hangs(), responds_after(Duration::ZERO)]) {
        let mut timed_out = 0;
        while timed_out < 3 {
            assert!(timed_out == 0 || !is_ejected(&health, 0));
            let start = Instant::now();
            if let Err(error) = balance.ready().await.unwrap().call(1).await {
                assert_elapsed(&error);
                assert!((SECOND..SECOND + 5 * MILLISECOND).contains(&start.elapsed()));
                timed_out += 1;
            }
        }
        assert!(is_ejected(&health, 0) && !is_ejected(&health, 1));
        for n in 0..100 {
            assert_eq!(balance.ready().await.unwrap().call(n).await.unwrap(), n);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_responds_in_time_is_not_affected() {
    for (mut balance, health) in balancers(|| vec![responds_after(SECOND - 10 * MILLISECOND)]) {
        for n in 0..100 {
            assert_eq!(balance.ready().await.unwrap().call(n).await.unwrap(), n);
        }
        assert!(!is_ejected(&health, 0));
    }
}

/// The error of an endpoint is not replaced, and counts as before.
#[tokio::test(start_paused = true)]
async fn an_error_of_an_endpoint_passes_through() {
    let (failing, mut handle) = endpoint(0);
    let health = Health::new();
    let config = AccrualConfig::never().consecutive(2);
    let discover = ServiceList::new::<u32>([failing])
        .share_health(health.clone())
        .timeout_endpoints(SECOND)
        .accrue_failures(config, ErrorIsFailure)
        .unwrap();
    let mut balance = Spawn::new(Balance::new(discover));
    send(&mut balance, &mut handle, true).await;
    send(&mut balance, &mut handle, false).await;
    assert!(!is_ejected(&health, 0));
    assert_ready_ok!(balance.poll_ready());
    let response = balance.call(1);
    handle.next_request().await.unwrap().1.send_error("failed");
    assert_eq!(response.await.unwrap_err().to_string(), "failed");
    assert!(is_ejected(&health, 0));
}

/// For a wrapper below the timeout, a request that times out is cancelled.
#[tokio::test(start_paused = true)]
async fn a_timeout_outside_of_the_wrapper_that_ejects_counts_only_as_a_cancellation() {
    for (cancelled_after, ejected) in [
        (None, false),
        (Some(2 * SECOND), false),
        (Some(SECOND), true),
    ] {
        let health = health();
        let config = AccrualConfig::never()
            .consecutive(3)
            .cancelled_after(cancelled_after);
        let discover = ServiceList::new::<u32>([hangs()])
            .share_health(health.clone())
            .accrue_failures(config, ErrorIsFailure)
            .unwrap()
            .timeout_endpoints(SECOND);
        let mut balance = Balance::new(discover);
        for n in 0..3 {
            let response = balance.ready().await.unwrap().call(n).await;
            assert_elapsed(&response.unwrap_err());
        }
        assert_eq!(is_ejected(&health, 0), ejected, "{cancelled_after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_dropped_or_times_out_releases_all_it_holds() {
    let held = Arc::new(());
    let hanging = service_fn({
        let held = Arc::clone(&held);
        move |_: u32| {
            let held = Arc::clone(&held);
            async move {
                let _held = held;
                pending::<Result<u32, BoxError>>().await
            }
        }
    });
    let states = EndpointStates::new(Health::new());
    let hanging = PendingRequests::new(hanging, CompleteOnResponse::default());
    let mut discover = ServiceList::new::<u32>([hanging])
        .timeout_endpoints(SECOND)
        .observe(states.clone());
    let Some(Ok(Change::Insert(_, mut endpoint))) = discover.next().await else {
        panic!("there is one");
    };
    let in_flight = || states.list()[0].in_flight;
    let idle = (endpoint.load(), Arc::strong_count(&held), 0);

    for elapses in [false, true] {
        let mut response = task::spawn(endpoint.ready().await.unwrap().call(1));
        assert_pending!(response.poll());
        assert!(endpoint.load() > idle.0 && Arc::strong_count(&held) > idle.1);
        assert_eq!(in_flight(), 1);
        if elapses {
            advance(SECOND).await;
            assert!(response.is_woken());
            assert_elapsed(&assert_ready_err!(response.poll()));
            assert_eq!(in_flight(), 0);
        }
        drop(response);
        let now = (endpoint.load(), Arc::strong_count(&held), in_flight());
        assert_eq!(now, idle);
    }
}

#[tokio::test(start_paused = true)]
async fn load_weight_and_removal_pass_through() {
    let (sender, discover) = channel(8);
    let mut discover = TimeoutEndpoints::new(discover, SECOND);
    let (inner, mut handle) = endpoint(7);
    sender.insert("a", Weighted::new(inner, 3)).await.unwrap();
    let Some(Ok(Change::Insert("a", mut timed))) = discover.next().await else {
        panic!("it was inserted");
    };
    let expected = timed.get_ref().load();
    assert_eq!(timed.load(), expected);
    assert_eq!(TimeoutEndpoint::relative_weight(&timed), 3);

    // An endpoint that is not ready is not limited.
    handle.allow(0);
    let mut ready = task::spawn(timed.ready());
    assert_pending!(ready.poll());
    advance(3600 * SECOND).await;
    assert!(!ready.is_woken());
    assert_pending!(ready.poll());
    handle.allow(1);
    assert!(ready.is_woken());
    assert_ready_ok!(ready.poll());

    sender.remove("a").await.unwrap();
    let removed = discover.next().await;
    assert!(matches!(removed, Some(Ok(Change::Remove("a")))));
}
