//! Limits that refuse: at once, or after a maximum wait.
#![cfg(all(feature = "concurrency", feature = "rate"))]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::advance;
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task};
use tower_layer::Layer;
use tower_limit::error::{LimitExceeded, LimitKind};
use tower_limit::rate::{Rate, TokenBucket};
use tower_limit::refuse::{Limit, Refuse};
use tower_limit::{
    BoxError, ConcurrencyLimit, ConcurrencyLimitLayer, Event, GlobalConcurrencyLimitLayer,
    GlobalRateLimitLayer, RateLimit, RateLimitLayer,
};
use tower_readiness::{drive, release};
use tower_service::Service;
use tower_test::mock::{self, Mock, Spawn};

type Inner = Mock<u32, u32>;

const SECOND: Duration = Duration::from_secs(1);

/// Polls and calls a service whose limit is reached, and returns the refusal.
fn refusal<L>(service: &mut Spawn<Refuse<L>>) -> LimitExceeded
where
    L: Limit + Service<u32, Response = u32, Error = BoxError>,
{
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(1));
    let error = assert_ready_err!(response.poll());
    *error.downcast().expect("the limit refuses")
}

fn is_admitted<L>(service: &mut Spawn<Refuse<L>>) -> bool
where
    L: Limit + Service<u32, Response = u32, Error = BoxError>,
{
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(1));
    match response.poll() {
        std::task::Poll::Pending => true,
        std::task::Poll::Ready(result) => {
            assert!(result.unwrap_err().is::<LimitExceeded>());
            false
        }
    }
}

fn buckets(requests: u64, burst: u64) -> TokenBucket {
    TokenBucket::new(Rate::new(requests, SECOND), burst)
}

#[test]
fn a_shedding_concurrency_limit_refuses_without_a_time_to_retry() {
    let semaphore = |inner| ConcurrencyLimit::with_semaphore(inner, Arc::new(Semaphore::new(1)));
    let both = [
        mock::spawn_with(|inner| ConcurrencyLimit::new(inner, 1).shed()),
        mock::spawn_with(|inner| semaphore(inner).shed()),
    ];
    for (mut service, _handle) in both {
        assert_ready_ok!(service.poll_ready());
        let in_flight = service.call(1);
        let refused = refusal(&mut service);
        assert_eq!(refused.limit(), LimitKind::Concurrency);
        assert_eq!(refused.retry_after(), None);
        assert_eq!(refused.to_string(), "too many requests in flight");
        drop(in_flight);
        assert!(is_admitted(&mut service));
    }
}

#[tokio::test(start_paused = true)]
async fn a_shedding_rate_limit_says_exactly_when_to_come_back() {
    let limits = [
        RateLimitLayer::new(1, SECOND),
        RateLimitLayer::token_bucket(buckets(1, 1)),
    ];
    for limit in limits {
        let (mut service, _handle) = mock::spawn_layer(limit.shed());
        assert!(is_admitted(&mut service));
        advance(SECOND / 4).await;
        let refused = refusal(&mut service);
        assert_eq!(refused.limit(), LimitKind::Rate);
        let retry_after = refused.retry_after().unwrap();
        assert_eq!(retry_after, SECOND * 3 / 4);
        advance(retry_after - Duration::from_nanos(1_000_000)).await;
        refusal(&mut service);
        advance(Duration::from_nanos(1_000_000)).await;
        assert!(is_admitted(&mut service));
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_for_a_permit_and_no_longer_than_the_maximum() {
    let (mut service, _handle) =
        mock::spawn_layer::<u32, u32, _>(ConcurrencyLimitLayer::new(1).max_wait(SECOND));
    assert_ready_ok!(service.poll_ready());
    let in_flight = service.call(1);
    for _ in 0..2 {
        assert_pending!(service.poll_ready());
        advance(SECOND - Duration::from_millis(1)).await;
        assert_pending!(service.poll_ready());
        advance(Duration::from_millis(1)).await;
        assert!(service.is_woken());
        // Refused until it is called, without another wait.
        assert_ready_ok!(service.poll_ready());
        assert_eq!(refusal(&mut service).limit(), LimitKind::Concurrency);
    }
    assert_pending!(service.poll_ready());
    drop(in_flight);
    assert!(service.is_woken());
    assert!(is_admitted(&mut service));
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_a_rate_cannot_end_in_time_does_not_begin() {
    let limits = [
        RateLimitLayer::new(1, SECOND),
        RateLimitLayer::token_bucket(buckets(1, 1)),
    ];
    for limit in limits {
        let (mut service, _handle) = mock::spawn_layer(limit.max_wait(SECOND / 2));
        assert!(is_admitted(&mut service));
        assert_eq!(refusal(&mut service).retry_after(), Some(SECOND));
        advance(SECOND / 2).await;
        assert_pending!(service.poll_ready());
        advance(SECOND / 2).await;
        assert!(service.is_woken());
        assert!(is_admitted(&mut service));
    }
}

#[test]
fn a_permit_that_is_free_again_before_the_call_is_taken() {
    let (mut service, _handle) =
        mock::spawn_layer::<u32, u32, _>(ConcurrencyLimitLayer::new(1).shed());
    let mut clone = service.clone();
    assert_ready_ok!(clone.poll_ready());
    assert_ready_ok!(service.poll_ready());
    drop(clone);
    assert!(is_admitted(&mut service));
}

#[test]
fn an_inner_service_that_is_not_ready_is_waited_for() {
    let (mut service, mut handle) =
        mock::spawn_layer::<u32, u32, _>(ConcurrencyLimitLayer::new(1).shed());
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert!(service.is_woken());
    assert!(is_admitted(&mut service));
}

#[tokio::test(start_paused = true)]
async fn a_refused_handle_that_is_kept_holds_nothing() {
    let inner = GlobalConcurrencyLimitLayer::new(1);
    let outer = GlobalConcurrencyLimitLayer::new(1).max_wait(SECOND);
    let layer = |mock: Inner| outer.layer(inner.layer(mock));
    let (mut first, _first) = mock::spawn_with(layer);
    let (mut kept, _kept) = mock::spawn_with(layer);
    let (mut other, _other) = mock::spawn_with(layer);
    // It waits for the inner limit, then for the outer one, and is refused.
    let (mut below, _below) = mock::spawn_with(|mock: Inner| inner.layer(mock));
    assert_ready_ok!(below.poll_ready());
    let held = below.call(1);
    assert_pending!(kept.poll_ready());
    drop(held);
    assert!(kept.is_woken());
    assert_ready_ok!(first.poll_ready());
    let in_flight = first.call(1);
    assert_pending!(kept.poll_ready());
    assert_pending!(other.poll_ready());
    advance(SECOND / 2).await;
    // The other begins a wait of its own.
    assert_ready_ok!(release_all(&mut other));
    assert_pending!(other.poll_ready());
    advance(SECOND / 2).await;
    assert_ready_ok!(kept.poll_ready());
    drop(in_flight);
    assert!(other.is_woken(), "the kept handle is not in the queue");
    assert!(is_admitted(&mut other));
    // Of the inner limit either.
    assert_ready_ok!(below.poll_ready());
}

fn release_all<L>(service: &mut Spawn<Refuse<L>>) -> std::task::Poll<Result<(), BoxError>>
where
    L: Limit + Service<u32, Error = BoxError>,
{
    let mut poll = task::spawn(std::future::poll_fn(|cx| {
        std::task::Poll::Ready(release(service.get_mut(), cx))
    }));
    poll.poll()
}

#[tokio::test(start_paused = true)]
async fn a_driven_shedding_limit_is_ready_to_refuse() {
    let layer = GlobalRateLimitLayer::token_bucket(buckets(1, 1)).shed();
    let (mut service, _handle) = mock::spawn_layer(layer);
    let poll = |service: &mut Spawn<Refuse<RateLimit<Inner>>>| {
        let mut driven = task::spawn(std::future::poll_fn(|cx| {
            drive::<_, u32>(service.get_mut(), cx)
        }));
        driven.poll()
    };
    assert_ready_ok!(poll(&mut service));
    assert!(is_admitted(&mut service));
    assert_ready_ok!(poll(&mut service));
    let mut refused = task::spawn(service.call(1));
    let error = assert_ready_err!(refused.poll());
    let error = error.downcast_ref::<LimitExceeded>().unwrap();
    assert_eq!(error.retry_after(), Some(SECOND));
    // After a driven poll that found a token, the call takes it.
    advance(SECOND).await;
    assert_ready_ok!(poll(&mut service));
    assert_pending!(task::spawn(service.call(1)).poll());
    refusal(&mut service);
}

#[test]
fn a_clone_of_a_ready_handle_has_no_permit() {
    let (mut service, _handle) =
        mock::spawn_layer::<u32, u32, _>(ConcurrencyLimitLayer::new(1).shed());
    assert_ready_ok!(service.poll_ready());
    let mut clone = service.clone();
    assert!(!is_admitted(&mut clone));
    assert!(is_admitted(&mut service));
}

#[test]
fn the_error_of_the_inner_service_is_passed_on() {
    let (mut service, mut handle) =
        mock::spawn_layer::<u32, u32, _>(ConcurrencyLimitLayer::new(1).shed());
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(1));
    let (_, answer) = assert_ready!(handle.poll_request()).unwrap();
    answer.send_error("broken");
    let error = assert_ready_err!(response.poll());
    assert_eq!(error.to_string(), "broken");
    assert!(is_admitted(&mut service));
    handle.send_error("gone");
    assert_eq!(assert_ready_err!(service.poll_ready()).to_string(), "gone");
}

#[test]
fn shedding_newcomers_yield_once_to_a_waiter_that_was_overtaken() {
    let global = GlobalConcurrencyLimitLayer::new(1);
    let (mut waiter, _a) = mock::spawn_with(|mock: Inner| global.layer(mock));
    let shedding = global.shed();
    let (mut shed, _b) = mock::spawn_layer(shedding);
    assert_ready_ok!(shed.poll_ready());
    let first = shed.call(1);
    assert_pending!(waiter.poll_ready());
    drop(first);
    assert!(waiter.is_woken());
    assert_ready_ok!(shed.poll_ready());
    let second = shed.call(1);
    assert_pending!(waiter.poll_ready());
    drop(second);
    assert!(!is_admitted(&mut shed), "the waiter has been overtaken");
    assert!(is_admitted(&mut shed), "the waiter may never poll again");
}

#[tokio::test(start_paused = true)]
async fn refusals_are_observed() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let events = Arc::clone(&seen);
    let layer = RateLimitLayer::new(1, SECOND)
        .shed()
        .on_event(move |event| events.lock().unwrap().push(*event));
    let (mut service, _handle) = mock::spawn_layer(layer);
    assert!(is_admitted(&mut service));
    assert!(!is_admitted(&mut service.clone()));
    let expected = Event::Refused {
        limit: LimitKind::Rate,
        retry_after: Some(SECOND),
    };
    assert_eq!(*seen.lock().unwrap(), [expected]);
}
