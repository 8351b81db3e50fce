//! An endpoint that never responds has no failures of its own: requests to it are cancelled.

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use tokio::time::advance;
use tower_balance::p2c::Balance;
use tower_balance::picker::WeightedRoundRobin;
use tower_discover::ServiceList;
use tower_health::policy::accrual::AccrualConfig;
use tower_health::policy::outlier::OutlierConfig;
use tower_health::{ErrorIsFailure, Health, HealthExt, Standing, withdrawn};
use tower_load::Constant;
use tower_service::Service;
use tower_timeout::{TimeoutLayer, error::Elapsed};
use tower_util::{BoxCloneService, BoxError, BoxService, ServiceExt, service_fn};

use crate::SECOND;

type Endpoint = Constant<BoxCloneService<(), (), BoxError>, u32>;
type Balanced = BoxService<(), (), BoxError>;

const LONG: Duration = Duration::from_millis(500);

/// Two endpoints that respond, and one that never does.
fn endpoints() -> ServiceList<Vec<Endpoint>> {
    let works = service_fn(|()| async { Ok::<_, BoxError>(()) }).boxed_clone();
    let hangs = service_fn(|()| pending::<Result<(), BoxError>>()).boxed_clone();
    let endpoints = [hangs, works.clone(), works].map(|endpoint| Constant::new(endpoint, 1));
    ServiceList::new::<()>(endpoints.into())
}

/// A balancer with each of the two ejecting wrappers, in which panic mode is never on.
fn balancers(cancelled_after: Option<Duration>) -> [(Balanced, Health<usize>); 2] {
    let watched = || {
        let health = Health::new();
        health.set_panic_threshold(0);
        (endpoints().share_health(health.clone()), health)
    };
    let ejects = {
        let (endpoints, health) = watched();
        let config = OutlierConfig::default().cancelled_after(cancelled_after);
        let endpoints = endpoints.eject_outliers(config, ErrorIsFailure).unwrap();
        let balance = Balance::with_picker(endpoints, WeightedRoundRobin::new());
        (balance.boxed(), health)
    };
    let accrues = {
        let (endpoints, health) = watched();
        let config = AccrualConfig::never()
            .consecutive(5)
            .cancelled_after(cancelled_after);
        let endpoints = endpoints.accrue_failures(config, ErrorIsFailure).unwrap();
        let balance = Balance::with_picker(endpoints, WeightedRoundRobin::new());
        (balance.boxed(), health)
    };
    [ejects, accrues]
}

/// Sends requests until `count` of them are in flight to the endpoint that hangs, and returns these.
async fn hanging(balance: &mut Balanced, count: usize) -> Vec<impl Future<Output = ()> + use<>> {
    let mut hanging = Vec::new();
    while hanging.len() < count {
        let mut response = Box::pin(balance.ready().await.unwrap().call(()));
        if futures::poll!(&mut response).is_pending() {
            hanging.push(async move { drop(response.await) });
        }
    }
    hanging
}

fn is_ejected(health: &Health<usize>) -> bool {
    matches!(health.standing(&0).unwrap().0, Standing::Ejected(_))
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_hangs_below_a_timeout_is_ejected() {
    for defaults in [
        OutlierConfig::default(),
        OutlierConfig::default().success_rate(None),
    ] {
        let endpoints = endpoints()
            .eject_outliers(defaults, ErrorIsFailure)
            .unwrap();
        let balance = Balance::<_, ()>::new(endpoints);
        let mut service = tower_layer::Layer::layer(&TimeoutLayer::new(SECOND), balance);
        let mut timed_out = 0;
        for _ in 0..600 {
            if let Err(error) = service.ready().await.unwrap().call(()).await {
                assert!(error.is::<Elapsed>());
                timed_out += 1;
            }
        }
        // While it is ejected the paused clock does not advance, as all others respond immediately.
        assert_eq!(timed_out, 5);
    }
}

#[tokio::test(start_paused = true)]
async fn only_requests_that_have_waited_long_enough_count() {
    for (mut balance, health) in balancers(Some(LONG)) {
        let requests = hanging(&mut balance, 50).await;
        advance(LONG - Duration::from_millis(1)).await;
        drop(requests);
        assert!(!is_ejected(&health));
        let requests = hanging(&mut balance, 5).await;
        advance(LONG).await;
        drop(requests);
        assert!(is_ejected(&health));
    }
}

#[tokio::test(start_paused = true)]
async fn a_withdrawn_or_panicking_request_does_not_count() {
    for (mut balance, health) in balancers(Some(LONG)) {
        let requests = hanging(&mut balance, 50).await;
        advance(2 * LONG).await;
        withdrawn(|| drop(requests));
        assert!(!is_ejected(&health));
        let requests = hanging(&mut balance, 50).await;
        advance(2 * LONG).await;
        let panicked = catch_unwind(AssertUnwindSafe(move || {
            let _requests = requests;
            panic!("the expected panic");
        }));
        assert!(panicked.is_err() && !is_ejected(&health));
        // This ends the panic.
        let requests = hanging(&mut balance, 5).await;
        advance(LONG).await;
        drop(requests);
        assert!(is_ejected(&health));
    }
}

#[tokio::test(start_paused = true)]
async fn cancelled_requests_do_not_count_if_that_is_disabled() {
    for (mut balance, health) in balancers(None) {
        let requests = hanging(&mut balance, 50).await;
        advance(3600 * SECOND).await;
        drop(requests);
        assert!(!is_ejected(&health));
    }
}
