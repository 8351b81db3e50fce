//! Faults by share and seed.

use std::future::{Pending, pending, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, advance};
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower_fault::error::Injected;
use tower_fault::{BoxError, Event, FaultLayer, Plan, Switch};
use tower_layer::Layer;
use tower_readiness::{LayerEvent, Purpose};
use tower_service::Service;
use tower_test::{assert_request_eq, mock};
use tower_util::{ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

fn echo() -> impl Service<u32, Response = u32, Error = BoxError, Future: Send> + Clone {
    service_fn(|n: u32| ready(Ok(n)))
}

fn delays_all() -> Plan {
    Plan::new().delay(1.0, SECOND..=SECOND).unwrap()
}

/// Which of 200 requests fail.
async fn failures(layer: &FaultLayer) -> Vec<u32> {
    let service = layer.layer(echo());
    let mut failed = Vec::new();
    for n in 0..200 {
        if service.clone().oneshot(n).await.is_err() {
            failed.push(n);
        }
    }
    failed
}

#[tokio::test(start_paused = true)]
async fn the_seed_decides_which_requests_fail() {
    let layer = |seed| FaultLayer::new(Plan::new().fail(0.3).unwrap()).seed(seed);
    let failed = failures(&layer(7)).await;
    assert!((40..80).contains(&failed.len()), "{failed:?}");
    assert_eq!(failures(&layer(7)).await, failed);
    assert_ne!(failures(&layer(8)).await, failed);
    // The services of a layer share the sequence.
    let one = layer(7);
    assert_eq!(failures(&one).await, failed);
    assert_ne!(failures(&one).await, failed);
}

#[tokio::test(start_paused = true)]
async fn a_delay_comes_before_the_response_and_before_the_failure() {
    let began = Instant::now();
    assert!(
        FaultLayer::new(delays_all())
            .layer(echo())
            .oneshot(1)
            .await
            .is_ok()
    );
    assert_eq!(began.elapsed(), SECOND);
    let both = FaultLayer::new(delays_all().fail(1.0).unwrap()).layer(echo());
    assert!(both.oneshot(1).await.unwrap_err().is::<Injected>());
    assert_eq!(began.elapsed(), 2 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn the_response_is_polled_after_the_delay() {
    let (mut service, mut handle) = mock::spawn_layer::<u32, u32, _>(FaultLayer::new(delays_all()));
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(1));
    assert_pending!(response.poll());
    assert_request_eq!(handle, 1).send_response(7);
    assert!(!response.is_woken());
    advance(SECOND).await;
    assert!(response.is_woken());
    assert_eq!(assert_ready_ok!(response.poll()), 7);
}

#[tokio::test(start_paused = true)]
async fn a_failed_request_is_not_sent() {
    let layer = FaultLayer::new(Plan::new().fail(1.0).unwrap());
    let (mut service, mut handle) = mock::spawn_layer::<u32, u32, _>(layer);
    for _ in 0..3 {
        assert_ready_ok!(service.poll_ready());
        assert!(assert_ready_err!(task::spawn(service.call(1)).poll()).is::<Injected>());
    }
    assert!(!task::spawn(handle.next_request()).poll().is_ready());
}

#[tokio::test(start_paused = true)]
async fn the_closure_makes_the_error_from_the_request() {
    let plan = Plan::new().fail(1.0).unwrap();
    let layer = FaultLayer::new(plan).error(|n: &u32| format!("no {n}").into());
    let error = layer.layer(echo()).oneshot(3).await.unwrap_err();
    assert_eq!(error.to_string(), "no 3");
}

#[tokio::test(start_paused = true)]
async fn a_switch_that_is_off_stops_all_faults_of_all_clones() {
    let switch = Switch::off();
    let plan = delays_all().fail(1.0).unwrap();
    let service = FaultLayer::new(plan).switch(switch.clone()).layer(echo());
    let began = Instant::now();
    assert!(service.clone().oneshot(1).await.is_ok());
    assert_eq!(began.elapsed(), Duration::ZERO);
    switch.set(true);
    assert!(service.clone().oneshot(1).await.is_err());
    switch.set(false);
    assert!(service.oneshot(1).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_observer_sees_each_fault() {
    let counts: Arc<[AtomicU32; 2]> = Arc::default();
    let seen = counts.clone();
    let observe = move |event: &Event| {
        let kind = usize::from(event.kind() == "failed");
        seen[kind].fetch_add(1, SeqCst);
    };
    let plan = delays_all().fail(1.0).unwrap();
    let service = FaultLayer::new(plan).on_event(observe).layer(echo());
    let _ = service.oneshot(1).await;
    assert_eq!((counts[0].load(SeqCst), counts[1].load(SeqCst)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_dropped_during_the_delay_is_dropped_below() {
    let held = Arc::new(());
    let inner = held.clone();
    let hangs = service_fn(move |_: u32| {
        let held = inner.clone();
        async move {
            let _held = held;
            pending::<Result<u32, BoxError>>().await
        }
    });
    let mut service = FaultLayer::new(delays_all()).layer(hangs);
    let before = Arc::strong_count(&held);
    let mut response = task::spawn(service.ready().await.unwrap().call(1));
    assert_pending!(response.poll());
    assert_eq!(Arc::strong_count(&held), before + 1);
    drop(response);
    assert_eq!(Arc::strong_count(&held), before);
}

/// Reserves something when it is ready, until it is called or polled to release it.
#[derive(Default)]
struct Reserving(Arc<AtomicBool>);

impl Service<u32> for Reserving {
    type Response = u32;
    type Error = BoxError;
    type Future = Pending<Result<u32, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.store(Purpose::current() == Purpose::Call, SeqCst);
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: u32) -> Self::Future {
        self.0.store(false, SeqCst);
        pending()
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_request_releases_what_was_reserved_for_it() {
    let inner = Reserving::default();
    let reserved = inner.0.clone();
    let mut service = FaultLayer::new(delays_all().fail(1.0).unwrap()).layer(inner);
    service.ready().await.unwrap();
    assert!(reserved.load(SeqCst));
    // Already during the delay.
    let _response = service.call(1);
    assert!(!reserved.load(SeqCst));
}
