//! An endpoint that never answers has no failures of its own: requests to it are cancelled.

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

/// Two that answer, and one that never does.
fn endpoints() -> ServiceList<Vec<Endpoint>> {
    let works = service_fn(|()| async { Ok::<_, BoxError>(()) }).boxed_clone();
    let hangs = service_fn(|()| pending::<Result<(), BoxError>>()).boxed_clone();
    let endpoints = [hangs, works.clone(), works].map(|endpoint| Constant::new(endpoint, 1));
    ServiceList::new::<()>(endpoints.into())
}

/// A balancer for each way to leave endpoints out, with a health that has no panic.
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

/// Makes requests until `count` of them are on their way to the endpoint that hangs, and returns these.
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

fn is_out(health: &Health<usize>) -> bool {
    matches!(health.standing(&0).unwrap().0, Standing::Out(_))
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_below_a_timeout_is_left_out() {
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
        // While it is out the time stands still, as all others answer at once.
        assert_eq!(timed_out, 5);
    }
}

#[tokio::test(start_paused = true)]
async fn only_those_that_waited_for_long_count() {
    for (mut balance, health) in balancers(Some(LONG)) {
        let requests = hanging(&mut balance, 50).await;
        advance(LONG - Duration::from_millis(1)).await;
        drop(requests);
        assert!(!is_out(&health));
        let requests = hanging(&mut balance, 5).await;
        advance(LONG).await;
        drop(requests);
        assert!(is_out(&health));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_withdrawn_or_panics_does_not_count() {
    for (mut balance, health) in balancers(Some(LONG)) {
        let requests = hanging(&mut balance, 50).await;
        advance(2 * LONG).await;
        withdrawn(|| drop(requests));
        assert!(!is_out(&health));
        let requests = hanging(&mut balance, 50).await;
        advance(2 * LONG).await;
        let panicked = catch_unwind(AssertUnwindSafe(move || {
            let _requests = requests;
            panic!("as asked for");
        }));
        assert!(panicked.is_err() && !is_out(&health));
        // It ends with that.
        let requests = hanging(&mut balance, 5).await;
        advance(LONG).await;
        drop(requests);
        assert!(is_out(&health));
    }
}

#[tokio::test(start_paused = true)]
async fn none_counts_if_none_is_to() {
    for (mut balance, health) in balancers(None) {
        let requests = hanging(&mut balance, 50).await;
        advance(3600 * SECOND).await;
        drop(requests);
        assert!(!is_out(&health));
    }
}
