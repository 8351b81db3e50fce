//! A circuit breaker for each key.
#![cfg(feature = "keyed")]

mod common;

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use tokio::time::{advance, timeout};
use tokio_test::{assert_ready_err, assert_ready_ok, task};
use tower_breaker::error::Open;
use tower_breaker::keyed::KeyedCircuitBreakerLayer;
use tower_breaker::policy::{BreakerPolicy, State};
use tower_breaker::{BoxError, Cause, Event, KeyEvent};
use tower_layer::Layer;
use tower_service::Service;
use tower_test::mock;
use tower_util::backoff::{Jitter, Schedule};
use tower_util::{ServiceExt, service_fn};

use common::OnePermit;

const SECOND: Duration = Duration::from_secs(1);

type Request = (u32, &'static str);

fn policy() -> BreakerPolicy {
    BreakerPolicy::never()
        .consecutive_failures(1)
        .open_time(Schedule::exponential(SECOND, 60 * SECOND).with_jitter(Jitter::None))
}

const fn key_of((key, _): &Request) -> u32 {
    *key
}

async fn respond((_, request): Request) -> Result<(), BoxError> {
    match request {
        "ok" => Ok(()),
        "hang" => pending().await,
        _ => Err(request.into()),
    }
}

async fn run<S>(service: &S, key: u32, request: &'static str) -> Result<(), BoxError>
where
    S: Service<Request, Response = (), Error = BoxError> + Clone,
{
    service.clone().oneshot((key, request)).await
}

#[tokio::test(start_paused = true)]
async fn each_key_has_its_breaker_and_its_events() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&events);
    let layer = KeyedCircuitBreakerLayer::new(policy(), 100, key_of)
        .on_event(move |event: &KeyEvent<u32>| seen.lock().unwrap().push((event.key, event.event)));
    let breakers = layer.breakers();
    let service = layer.layer(service_fn(respond));
    let take = || std::mem::take(&mut *events.lock().unwrap());

    run(&service, 1, "ok").await.unwrap();
    run(&service, 2, "down").await.unwrap_err();
    let error = run(&service, 2, "ok").await.unwrap_err();
    let open = error.downcast_ref::<Open>().unwrap();
    assert_eq!(open.retry_after(), Some(SECOND));
    run(&service, 1, "ok").await.unwrap();
    let opened = Event::Opened {
        open_for: Some(SECOND),
        cause: Cause::ConsecutiveFailures,
    };
    let retry_after = Some(SECOND);
    assert_eq!(take(), [(2, opened), (2, Event::Rejected { retry_after })]);
    assert_eq!(breakers.state(&1), Some(State::Closed));
    assert!(matches!(breakers.state(&2), Some(State::Open { .. })));
    assert_eq!(breakers.state(&3), None);

    advance(SECOND).await;
    // A probe that is dropped frees its place.
    assert!(run(&service, 2, "hang").now_or_never().is_none());
    run(&service, 2, "ok").await.unwrap();
    assert_eq!(take(), [(2, Event::HalfOpened), (2, Event::Closed)]);
}

#[tokio::test(start_paused = true)]
async fn services_of_a_layer_share_the_breakers() {
    let layer = KeyedCircuitBreakerLayer::new(policy(), 100, key_of);
    let services = [(); 2].map(|()| layer.clone().layer(service_fn(respond)));
    run(&services[0], 1, "down").await.unwrap_err();
    assert!(run(&services[1], 1, "ok").await.unwrap_err().is::<Open>());
}

#[tokio::test(start_paused = true)]
async fn the_key_used_least_recently_is_forgotten() {
    let layer = KeyedCircuitBreakerLayer::new(policy(), 2, key_of);
    let breakers = layer.breakers();
    let service = layer.layer(service_fn(respond));
    run(&service, 1, "down").await.unwrap_err();
    run(&service, 2, "ok").await.unwrap();
    // A rejected request uses its key as well.
    assert!(run(&service, 1, "ok").await.unwrap_err().is::<Open>());
    run(&service, 3, "ok").await.unwrap();
    assert_eq!(breakers.state(&2), None);
    assert!(run(&service, 1, "ok").await.unwrap_err().is::<Open>());
    run(&service, 2, "ok").await.unwrap();
    run(&service, 3, "ok").await.unwrap();
    run(&service, 1, "ok").await.unwrap();
    assert_eq!(breakers.len(), 2);
}

/// The result of a request whose key was forgotten, and whose place another key has.
#[tokio::test(start_paused = true)]
async fn a_late_result_does_not_count_for_another_key() {
    let layer = KeyedCircuitBreakerLayer::new(policy().slow_calls(1.0, SECOND), 1, key_of);
    let breakers = layer.breakers();
    let service = layer.layer(service_fn(|request: Request| async move {
        tokio::task::yield_now().await;
        respond(request).await
    }));
    let mut late = task::spawn(run(&service, 1, "down"));
    assert!(late.poll().is_pending());
    run(&service, 2, "ok").await.unwrap();
    assert_ready_err!(late.poll());
    assert_eq!(breakers.state(&2), Some(State::Closed));
}

#[tokio::test(start_paused = true)]
async fn slow_and_cancelled_requests_count() {
    let policy = BreakerPolicy::never()
        .slow_calls(1.0, SECOND)
        .window(60 * SECOND, 1);
    let layer = KeyedCircuitBreakerLayer::new(policy, 9, key_of);
    let service = layer.layer(service_fn(respond));
    assert!(timeout(SECOND / 2, run(&service, 1, "hang")).await.is_err());
    assert!(timeout(SECOND, run(&service, 1, "hang")).await.is_err());
    assert!(run(&service, 1, "ok").await.unwrap_err().is::<Open>());
}

#[tokio::test(start_paused = true)]
async fn a_handle_controls_each_key() {
    let layer = KeyedCircuitBreakerLayer::new(policy(), 9, key_of);
    let breakers = layer.breakers();
    let service = layer.layer(service_fn(respond));
    assert!(breakers.is_empty());
    breakers.force_open(&1);
    assert!(run(&service, 1, "ok").await.unwrap_err().is::<Open>());
    breakers.force_closed(&1);
    for _ in 0..3 {
        assert_eq!(
            run(&service, 1, "down").await.unwrap_err().to_string(),
            "down"
        );
    }
    breakers.reset(&1);
    run(&service, 1, "down").await.unwrap_err();
    assert!(run(&service, 1, "ok").await.unwrap_err().is::<Open>());
}

#[tokio::test]
async fn what_was_reserved_for_a_rejected_request_is_released() {
    let permit = OnePermit::default();
    let layer = KeyedCircuitBreakerLayer::new(policy(), 9, key_of);
    layer.breakers().force_open(&1);
    let mut service = mock::Spawn::new(layer.layer(permit.clone()));
    assert_ready_ok!(service.poll_ready());
    assert!(permit.is_held());
    assert_ready_err!(task::spawn(service.call((1, "a"))).poll());
    assert!(!permit.is_held());
    assert_ready_ok!(service.poll_ready());
    assert_ready_ok!(task::spawn(service.call((2, "b"))).poll());
}

#[test]
fn a_setting_out_of_range_is_an_error() {
    let with = |policy, max_keys| KeyedCircuitBreakerLayer::try_new(policy, max_keys, key_of);
    assert!(with(policy(), 0).is_err());
    assert!(with(policy().consecutive_failures(0), 1).is_err());
    assert!(with(policy(), 1).is_ok());
}
