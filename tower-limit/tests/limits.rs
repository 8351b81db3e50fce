//! Limits are enforced, and no reservation is lost.
#![cfg(all(feature = "concurrency", feature = "rate"))]

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task};
use tower_layer::Layer;
use tower_limit::error::InvalidLimit;
use tower_limit::load_shed::error::Overloaded;
use tower_limit::load_shed::{LoadShed, LoadShedLayer};
use tower_limit::rate::{Rate, TokenBucket};
use tower_limit::{
    ConcurrencyLimit, ConcurrencyLimitLayer, GlobalConcurrencyLimitLayer, GlobalRateLimitLayer,
    RateLimit, RateLimitLayer,
};
use tower_test::mock::{self, Mock, Spawn};

type Inner = Mock<u32, u32>;

const SECOND: Duration = Duration::from_secs(1);

/// A limit with its own permits and one with those of a semaphore.
fn both() -> [(Spawn<ConcurrencyLimit<Inner>>, mock::Handle<u32, u32>); 2] {
    [
        mock::spawn_layer(ConcurrencyLimitLayer::new(1)),
        mock::spawn_with(|inner| {
            ConcurrencyLimit::with_semaphore(inner, Arc::new(Semaphore::new(1)))
        }),
    ]
}

#[test]
fn a_permit_is_returned_with_the_response() {
    for (mut service, mut handle) in both() {
        assert_ready_ok!(service.poll_ready());
        let mut response = task::spawn(service.call(1));
        assert_pending!(service.poll_ready());
        assert_ready!(handle.poll_request())
            .unwrap()
            .1
            .send_response(10);
        assert_eq!(assert_ready_ok!(response.poll()), 10);
        assert!(service.is_woken());
        assert_ready_ok!(service.poll_ready());
        drop(response);
    }
}

#[test]
fn a_permit_is_returned_when_its_holder_is_dropped() {
    for (mut service, _handle) in both() {
        let mut waiting = service.clone();
        assert_ready_ok!(service.poll_ready());
        assert_pending!(waiting.poll_ready());
        let response = service.call(1);
        drop(response);
        assert!(waiting.is_woken());
        assert_ready_ok!(waiting.poll_ready());
        assert_pending!(service.poll_ready());
        drop(waiting);
        assert!(service.is_woken());
        assert_ready_ok!(service.poll_ready());
    }
}

#[test]
fn a_clone_has_no_permit() {
    for (mut service, _handle) in both() {
        assert_ready_ok!(service.poll_ready());
        assert_pending!(service.clone().poll_ready());
        assert_ready_ok!(service.poll_ready());
    }
}

#[test]
fn waiters_are_woken_in_order_and_pass_the_permit_on() {
    for (mut service, _handle) in both() {
        let mut waiting: Vec<_> = (0..3).map(|_| service.clone()).collect();
        assert_ready_ok!(service.poll_ready());
        for waiter in &mut waiting {
            assert_pending!(waiter.poll_ready());
        }
        drop(service.call(1));
        assert!(waiting[0].is_woken() && !waiting[1].is_woken());
        // Is dropped instead of taking the permit.
        drop(waiting.remove(0));
        assert!(waiting[0].is_woken() && !waiting[1].is_woken());
        assert_ready_ok!(waiting[0].poll_ready());
        assert_pending!(waiting[1].poll_ready());
    }
}

/// C24: in tower 0.5 a handle whose inner service is not ready holds a permit that others could use.
#[test]
fn no_permit_is_held_while_the_inner_service_is_not_ready() {
    let layer = GlobalConcurrencyLimitLayer::new(1);
    let (mut stuck, mut stuck_handle) = mock::spawn_layer::<u32, u32, _>(layer.clone());
    let (mut other, _handle) = mock::spawn_layer::<u32, u32, _>(layer);
    stuck_handle.allow(0);
    assert_pending!(stuck.poll_ready());
    assert_ready_ok!(other.poll_ready());
}

#[test]
fn all_services_share_a_global_limit() {
    let semaphore = Arc::new(Semaphore::new(1));
    for layer in [
        GlobalConcurrencyLimitLayer::new(1),
        GlobalConcurrencyLimitLayer::with_semaphore(semaphore),
    ] {
        let (mut first, _first_handle) = mock::spawn_layer::<u32, u32, _>(layer.clone());
        let (mut second, _second_handle) = mock::spawn_layer::<u32, u32, _>(layer);
        assert_ready_ok!(first.poll_ready());
        assert_pending!(second.poll_ready());
    }
}

#[test]
fn sheds_load_beyond_the_limit() {
    let (mut service, mut handle) =
        mock::spawn_with(|inner: Inner| LoadShed::new(ConcurrencyLimit::new(inner, 1)));
    assert_ready_ok!(service.poll_ready());
    let mut first = task::spawn(service.call(1));
    assert_ready_ok!(service.poll_ready());
    assert!(assert_ready_err!(task::spawn(service.call(2)).poll()).is::<Overloaded>());
    assert_ready!(handle.poll_request())
        .unwrap()
        .1
        .send_response(10);
    assert_eq!(assert_ready_ok!(first.poll()), 10);
    assert_pending!(handle.poll_request());
}

/// C2: in tower 0.5 the permit goes to the handle that was rejected, and no other handle ever gets it.
#[test]
fn a_rejected_handle_does_not_strand_a_permit() {
    let (mut a, _handle) =
        mock::spawn_with(|inner: Inner| LoadShed::new(ConcurrencyLimit::new(inner, 1)));
    let mut b = a.clone();
    assert_ready_ok!(a.poll_ready());
    let in_flight = a.call(1);
    assert_ready_ok!(b.poll_ready());
    assert_ready_err!(task::spawn(b.call(2)).poll());
    drop(in_flight);
    for _ in 0..3 {
        assert_ready_ok!(a.poll_ready());
        assert_pending!(task::spawn(a.call(3)).poll(), "in flight");
    }
}

/// C3: in tower 0.5 requests of a task that has used up its cooperative budget are rejected in spite of free capacity.
#[tokio::test]
async fn a_busy_task_is_not_rejected_while_there_is_capacity() {
    let (mut service, mut handle) =
        mock::spawn_with(|inner: Inner| LoadShed::new(ConcurrencyLimit::new(inner, 1)));
    // Covers the time after the first contention.
    assert_ready_ok!(service.poll_ready());
    let in_flight = service.call(0);
    assert_ready_ok!(service.poll_ready());
    assert_ready_err!(task::spawn(service.call(0)).poll());
    drop(in_flight);
    drop(handle.poll_request());
    for n in 0..1000 {
        std::future::poll_fn(|cx| tower_service::Service::<u32>::poll_ready(service.get_mut(), cx))
            .await
            .unwrap();
        let response = service.call(n);
        assert_ready!(handle.poll_request())
            .unwrap()
            .1
            .send_response(n);
        assert_eq!(response.await.unwrap(), n);
    }
}

#[test]
fn a_failed_poll_ready_is_not_an_overload() {
    let (mut service, mut handle) = mock::spawn_layer::<u32, u32, _>(LoadShedLayer::new());
    handle.send_error("broken");
    assert_eq!(
        assert_ready_err!(service.poll_ready()).to_string(),
        "broken"
    );
}

#[tokio::test(start_paused = true)]
async fn a_rate_limits_the_requests_per_period() {
    let (mut service, _handle) = mock::spawn_layer::<u32, u32, _>(RateLimitLayer::new(2, SECOND));
    for _ in 0..3 {
        for n in 0..2 {
            assert_ready_ok!(service.poll_ready());
            drop(service.call(n));
        }
        assert_pending!(service.poll_ready());
        tokio::time::advance(SECOND / 2).await;
        assert_pending!(service.poll_ready());
        tokio::time::sleep(SECOND / 2 + Duration::from_millis(1)).await;
        assert!(service.is_woken());
    }
}

/// tower#794: in tower 0.5 it is not `Clone`.
#[tokio::test(start_paused = true)]
async fn clones_share_the_rate_and_are_all_woken() {
    let (mut first, _handle) = mock::spawn_layer::<u32, u32, _>(RateLimitLayer::new(1, SECOND));
    let (mut second, mut third) = (first.clone(), first.clone());
    assert_ready_ok!(first.poll_ready());
    drop(first.call(1));
    assert_pending!(second.poll_ready());
    assert_pending!(third.poll_ready());
    tokio::time::sleep(SECOND + Duration::from_millis(1)).await;
    assert!(second.is_woken() && third.is_woken());
    assert_ready_ok!(second.poll_ready());
    assert_pending!(third.poll_ready());
    // An unused reservation is available to others.
    drop(second);
    assert_ready_ok!(third.poll_ready());
}

/// axum#2634: with axum, which applies layers for each connection, the rate limit of tower 0.5 has no effect.
#[tokio::test(start_paused = true)]
async fn all_services_share_a_global_rate() {
    let layer = GlobalRateLimitLayer::new(1, SECOND);
    let (mut first, _first_handle) = mock::spawn_layer::<u32, u32, _>(layer.clone());
    let (mut second, _second_handle) = mock::spawn_layer::<u32, u32, _>(layer);
    assert_ready_ok!(first.poll_ready());
    drop(first.call(1));
    assert_pending!(second.poll_ready());
}

/// C25: tower 0.5 panics.
#[tokio::test]
async fn accepts_the_longest_period() {
    let (mut service, _handle) =
        mock::spawn_with(|inner: Inner| RateLimit::new(inner, Rate::new(1, Duration::MAX)));
    assert_ready_ok!(service.poll_ready());
    drop(service.call(1));
    assert_pending!(service.poll_ready());
}

#[test]
fn a_rate_limit_is_created_without_a_runtime() {
    let (inner, _handle) = mock::pair::<u32, u32>();
    drop(RateLimitLayer::new(1, SECOND).layer(inner));
}

#[test]
#[should_panic(expected = "at least one request")]
fn a_rate_of_zero_panics() {
    Rate::new(0, SECOND);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_is_enforced_across_threads() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let (in_flight, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (inner, mut handle) = mock::pair::<u32, u32>();
    let limit = ConcurrencyLimit::new(inner, 3);
    let counter = (Arc::clone(&in_flight), Arc::clone(&most));
    let answers = tokio::spawn(async move {
        while let Some((n, send)) = handle.next_request().await {
            let now = counter.0.fetch_add(1, Ordering::SeqCst) + 1;
            counter.1.fetch_max(now, Ordering::SeqCst);
            let in_flight = Arc::clone(&counter.0);
            tokio::spawn(async move {
                tokio::task::yield_now().await;
                in_flight.fetch_sub(1, Ordering::SeqCst);
                send.send_response(n);
            });
        }
    });
    let callers: Vec<_> = (0..32)
        .map(|n| {
            let mut limit = limit.clone();
            tokio::spawn(async move {
                for _ in 0..if cfg!(miri) { 2 } else { 100 } {
                    use tower_service::Service;
                    std::future::poll_fn(|cx| limit.poll_ready(cx))
                        .await
                        .unwrap();
                    assert_eq!(limit.call(n).await.unwrap(), n);
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    drop(limit);
    answers.await.unwrap();
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

fn bucket(requests: u64, burst: u64) -> TokenBucket {
    TokenBucket::new(Rate::new(requests, SECOND), burst)
}

#[tokio::test(start_paused = true)]
async fn a_token_bucket_gives_its_burst_and_then_one_token_per_interval() {
    let (mut service, _handle) =
        mock::spawn_layer::<u32, u32, _>(RateLimitLayer::token_bucket(bucket(10, 2)));
    for _ in 0..2 {
        assert_ready_ok!(service.poll_ready());
        drop(service.call(1));
    }
    assert_pending!(service.poll_ready());
    tokio::time::advance(SECOND / 10).await;
    assert!(service.is_woken());
    assert_ready_ok!(service.poll_ready());
    drop(service.call(1));
    assert_pending!(service.poll_ready());
}

#[tokio::test(start_paused = true)]
async fn clones_and_services_of_a_global_layer_share_a_token_bucket() {
    let layer = GlobalRateLimitLayer::token_bucket(bucket(1, 3));
    let mut handles = [
        mock::spawn_layer::<u32, u32, _>(layer.clone()),
        mock::spawn_layer::<u32, u32, _>(layer.clone()),
        mock::spawn_layer::<u32, u32, _>(layer),
    ];
    for (service, _handle) in &mut handles {
        assert_ready_ok!(service.poll_ready());
        drop(service.call(1));
    }
    let mut clone = handles[0].0.clone();
    assert_pending!(clone.poll_ready());
}

#[tokio::test(start_paused = true)]
async fn a_reserved_token_is_returned_and_wakes_a_waiter() {
    let (mut service, _handle) =
        mock::spawn_layer::<u32, u32, _>(RateLimitLayer::token_bucket(bucket(1, 1)));
    assert_ready_ok!(service.poll_ready());
    let mut waiting = service.clone();
    assert_pending!(waiting.poll_ready());
    drop(service);
    assert!(waiting.is_woken());
    assert_ready_ok!(waiting.poll_ready());
    assert_pending!(waiting.clone().poll_ready(), "a clone has no token");
}

#[test]
fn parameters_of_rates_are_checked() {
    assert_eq!(
        Rate::try_new(0, SECOND).unwrap_err(),
        InvalidLimit::NoRequests
    );
    let no_period = Rate::try_new(1, Duration::ZERO).unwrap_err();
    assert_eq!(no_period, InvalidLimit::NoPeriod);
    let rate = Rate::try_new(1, SECOND).unwrap();
    let no_burst = TokenBucket::try_new(rate, 0).unwrap_err();
    assert_eq!(no_burst, InvalidLimit::NoBurst);
    assert_eq!(TokenBucket::try_new(rate, 2).unwrap().burst(), 2);
}
