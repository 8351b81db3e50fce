//! Limits per key.
#![cfg(all(feature = "concurrency", feature = "rate"))]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::advance;
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task};
use tower_layer::Layer;
use tower_limit::error::{InvalidLimit, LimitExceeded, LimitKind};
use tower_limit::keyed::{
    KeyPermits, KeyRates, KeyedConcurrencyLimitLayer, KeyedLimit, KeyedRateLimit,
    KeyedRateLimitLayer,
};
use tower_limit::rate::{Rate, TokenBucket};
use tower_limit::{BoxError, ConcurrencyLimit, Event, GlobalConcurrencyLimitLayer};
use tower_service::Service;
use tower_test::mock::{self, Mock, Spawn};

type Inner = Mock<u32, u32>;

const SECOND: Duration = Duration::from_secs(1);

fn bucket(requests: u64, burst: u64) -> TokenBucket {
    TokenBucket::new(Rate::new(requests, SECOND), burst)
}

const fn own_key(request: &u32) -> u32 {
    *request
}

/// Sends a request. Returns its future, or why it was refused.
fn send<S>(service: &mut Spawn<S>, key: u32) -> Result<task::Spawn<S::Future>, LimitExceeded>
where
    S: Service<u32, Response = u32, Error = BoxError>,
    S::Future: Future<Output = Result<u32, BoxError>>,
{
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(key));
    match response.poll() {
        std::task::Poll::Pending => Ok(response),
        std::task::Poll::Ready(result) => Err(*result.unwrap_err().downcast().unwrap()),
    }
}

#[tokio::test(start_paused = true)]
async fn each_key_has_a_bucket() {
    let layer = KeyedRateLimitLayer::new(KeyRates::new(bucket(2, 2), 100), own_key);
    let (mut service, _handle) = mock::spawn_layer(layer);
    for key in 0..10 {
        assert!(send(&mut service, key).is_ok());
        assert!(send(&mut service.clone(), key).is_ok());
        let refused = send(&mut service, key).unwrap_err();
        assert_eq!(refused.limit(), LimitKind::KeyRate);
        assert_eq!(refused.retry_after(), Some(SECOND / 2));
    }
    advance(SECOND / 2).await;
    assert!(send(&mut service, 0).is_ok());
    assert!(send(&mut service, 0).is_err());
}

#[test]
fn each_key_has_permits() {
    let permits = KeyPermits::new(1, 100);
    let layer = KeyedConcurrencyLimitLayer::new(permits, own_key);
    let (mut service, mut handle) = mock::spawn_layer(layer);
    let mut first = send(&mut service, 1).unwrap();
    let second = send(&mut service, 2).unwrap();
    let refused = send(&mut service.clone(), 1).unwrap_err();
    assert_eq!(refused.limit(), LimitKind::KeyConcurrency);
    assert_eq!(refused.retry_after(), None);
    let (_, answer) = assert_ready!(handle.poll_request()).unwrap();
    answer.send_response(7);
    assert_eq!(assert_ready_ok!(first.poll()), 7);
    let again = send(&mut service, 1).unwrap();
    drop(first);
    assert!(send(&mut service, 1).is_err(), "a permit is returned once");
    drop(again);
    assert!(send(&mut service, 1).is_ok());
    drop(second);
    assert!(send(&mut service, 2).is_ok());
}

#[tokio::test(start_paused = true)]
async fn idle_keys_are_forgotten_first_and_then_those_with_the_fullest_buckets() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let events = Arc::clone(&seen);
    let rates = KeyRates::new(bucket(1, 3), 3);
    let layer = KeyedRateLimitLayer::new(rates.clone(), own_key)
        .on_event(move |event| events.lock().unwrap().push(*event));
    let (mut service, _handle) = mock::spawn_layer(layer);
    for key in [1, 1, 1, 2, 3, 3] {
        assert!(send(&mut service, key).is_ok());
    }
    advance(SECOND).await;
    assert!(send(&mut service, 4).is_ok());
    assert!(
        seen.lock().unwrap().is_empty(),
        "2 is forgotten, and loses nothing"
    );
    assert!(send(&mut service, 3).is_ok());
    // The bucket of 4 is the fullest.
    assert!(send(&mut service, 5).is_ok());
    assert_eq!(*seen.lock().unwrap(), [Event::Forgot]);
    for (key, tokens) in [(1, 1), (3, 1), (5, 2)] {
        for _ in 0..tokens {
            assert!(send(&mut service, key).is_ok());
        }
        assert!(send(&mut service, key).is_err(), "{key}");
    }
    assert_eq!(rates.keys(), 3);
}

#[test]
fn a_key_with_requests_in_flight_is_not_forgotten() {
    let permits = KeyPermits::new(2, 2);
    let layer = KeyedConcurrencyLimitLayer::new(permits.clone(), own_key);
    let (mut service, _handle) = mock::spawn_layer(layer);
    let first = send(&mut service, 1).unwrap();
    let other = send(&mut service, 2).unwrap();
    assert_eq!(send(&mut service, 3).unwrap_err().limit(), LimitKind::Keys);
    drop(other);
    let third = send(&mut service, 3).unwrap();
    assert_eq!(send(&mut service, 2).unwrap_err().limit(), LimitKind::Keys);
    let second = send(&mut service, 1).unwrap();
    assert!(send(&mut service, 1).is_err());
    drop((first, second, third));
    assert_eq!(permits.keys(), 2);
    assert!(send(&mut service, 2).is_ok() && send(&mut service, 4).is_ok());
}

#[test]
fn a_refused_handle_that_is_kept_holds_nothing_of_the_inner_service() {
    let inner = GlobalConcurrencyLimitLayer::new(1);
    let permits = KeyPermits::new(1, 100);
    let held = permits.take(1).unwrap();
    let (mut kept, _a) = mock::spawn_with(|mock: Inner| {
        KeyedLimit::new(inner.layer(mock), permits.clone(), own_key)
    });
    let (mut other, _b): (Spawn<ConcurrencyLimit<Inner>>, _) =
        mock::spawn_with(|mock| inner.layer(mock));
    assert!(send(&mut kept, 1).is_err());
    assert_ready_ok!(other.poll_ready());
    assert_pending!(kept.poll_ready());
    drop(held);
    drop(other);
    assert!(send(&mut kept, 1).is_ok());
}

#[test]
fn a_service_that_fails_when_it_is_released_is_not_polled_again() {
    let permits = KeyPermits::new(1, 100);
    let _held = permits.take(1).unwrap();
    let (mut service, mut handle) =
        mock::spawn_with(|mock: Inner| KeyedLimit::new(mock, permits.clone(), own_key));
    assert_ready_ok!(service.poll_ready());
    handle.send_error("broken");
    let mut response = task::spawn(service.call(1));
    assert!(assert_ready_err!(response.poll()).is::<LimitExceeded>());
    let error = assert_ready_err!(service.poll_ready());
    assert_eq!(error.to_string(), "broken");
}

#[test]
fn services_of_a_layer_share_the_keys() {
    let layer = KeyedConcurrencyLimitLayer::new(KeyPermits::new(1, 100), own_key);
    let (mut first, _a) = mock::spawn_layer(layer.clone());
    let (mut second, _b) = mock::spawn_layer(layer);
    let in_flight = send(&mut first, 1).unwrap();
    assert!(send(&mut second, 1).is_err());
    drop(in_flight);
    assert!(send(&mut second, 1).is_ok());
}

#[test]
fn parameters_are_checked() {
    let no_permits = KeyPermits::<u32>::try_new(0, 1).unwrap_err();
    assert_eq!(no_permits, InvalidLimit::NoPermits);
    let no_keys = KeyRates::<u32>::try_new(bucket(1, 1), 0).unwrap_err();
    assert_eq!(no_keys, InvalidLimit::Keys(0));
}

#[test]
fn threads_share_the_keys() {
    let permits = KeyPermits::new(2, 64);
    let running: Vec<_> = (0..8)
        .map(|_| std::sync::atomic::AtomicU32::new(0))
        .collect();
    std::thread::scope(|scope| {
        for thread in 0..3_u32 {
            let (permits, running) = (permits.clone(), &running);
            scope.spawn(move || {
                for n in 0..if cfg!(miri) { 50 } else { 2000 } {
                    let key = (n * 7 + thread) % 8;
                    if let Ok(_permit) = permits.take(key) {
                        let running = &running[key as usize];
                        let before = running.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        assert!(before < 2);
                        running.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                    }
                }
            });
        }
    });
    for key in 0..8 {
        let _both = (permits.take(key).unwrap(), permits.take(key).unwrap());
        assert!(permits.take(key).is_err());
    }
}

/// The type can be named.
#[test]
fn the_service_has_a_name() {
    type Limited = KeyedRateLimit<Inner, fn(&u32) -> u32, u32>;
    let rates = KeyRates::new(bucket(1, 1), 1);
    let (mut service, _handle): (Spawn<Limited>, _) =
        mock::spawn_with(|mock| KeyedLimit::new(mock, rates.clone(), own_key as fn(&u32) -> u32));
    assert!(send(&mut service, 1).is_ok());
}
