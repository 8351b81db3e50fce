//! The response cache.

use std::collections::VecDeque;
use std::future::ready;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use tokio::time::advance;
use tokio_test::{assert_pending, assert_ready, task};
use tower_cache::error::InvalidCache;
use tower_cache::{BoxError, Cache, CacheLayer, Event, Store};
use tower_layer::Layer;
use tower_readiness::LayerEvent;
use tower_service::Service;
use tower_test::mock;
use tower_util::{ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

/// All keys are the number itself, but odd numbers have none.
fn even(n: &u32) -> Option<u32> {
    n.is_multiple_of(2).then_some(*n)
}

/// Responds with the number of the call.
fn counter() -> impl Service<u32, Response = u32, Error = BoxError, Future: Send> + Clone {
    let calls = Arc::new(AtomicU32::new(0));
    service_fn(move |_: u32| ready(Ok(calls.fetch_add(1, SeqCst))))
}

#[tokio::test(start_paused = true)]
async fn a_stored_response_is_returned_until_it_expires() {
    let service = Cache::new(counter(), Store::new(9, SECOND), even);
    for _ in 0..3 {
        assert_eq!(service.clone().oneshot(2).await.unwrap(), 0);
    }
    advance(SECOND - Duration::from_nanos(1)).await;
    assert_eq!(service.clone().oneshot(2).await.unwrap(), 0);
    advance(Duration::from_nanos(1)).await;
    assert_eq!(service.clone().oneshot(2).await.unwrap(), 1);
    assert_eq!(service.oneshot(2).await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_key_is_passed_on() {
    let store = Store::new(9, SECOND);
    let service = Cache::new(counter(), store.clone(), even);
    assert_eq!(service.clone().oneshot(1).await.unwrap(), 0);
    assert_eq!(service.oneshot(1).await.unwrap(), 1);
    assert!(store.is_empty());
}

#[tokio::test(start_paused = true)]
async fn only_responses_that_the_predicate_accepts_are_kept() {
    let layer = CacheLayer::new(Store::new(9, SECOND), even).keep_if(|call: &u32| *call >= 2);
    let service = layer.layer(counter());
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.push(service.clone().oneshot(2).await.unwrap());
    }
    assert_eq!(seen, [0, 1, 2, 2, 2]);
}

#[tokio::test(start_paused = true)]
async fn errors_are_not_kept() {
    let results = Arc::new(Mutex::new(VecDeque::from([Err("failed"), Ok(1), Ok(2)])));
    let inner = service_fn(move |_: u32| ready(results.lock().unwrap().pop_front().unwrap()));
    let service = Cache::new(inner, Store::new(9, SECOND), even);
    assert_eq!(service.clone().oneshot(2).await, Err("failed"));
    assert_eq!(service.clone().oneshot(2).await, Ok(1));
    assert_eq!(service.oneshot(2).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn the_least_recently_used_entry_is_evicted() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = events.clone();
    let store = Store::new(2, SECOND);
    let layer = CacheLayer::new(store.clone(), even)
        .on_event(move |event: &Event| seen.lock().unwrap().push(event.kind()));
    let service = layer.layer(counter());
    for n in [2, 4, 2, 6, 2, 4] {
        service.clone().oneshot(n).await.unwrap();
    }
    assert_eq!(store.len(), 2);
    assert_eq!(
        *events.lock().unwrap(),
        [
            "miss", "miss", "hit", "miss", "evicted", "hit", "miss", "evicted"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_response_that_was_removed_while_it_was_on_its_way_is_not_stored() {
    type Remove = fn(&Store<u32, u32>);
    let removals: [Remove; 2] = [Store::clear, |store| {
        store.remove(&2);
    }];
    for remove in removals {
        let (mock, mut handle) = mock::pair::<u32, u32>();
        let store = Store::new(9, SECOND);
        let mut service = Cache::new(mock, store.clone(), even);
        let mut request = task::spawn(service.call(2));
        assert_pending!(request.poll());
        let (_, respond) = handle.next_request().await.unwrap();
        remove(&store);
        respond.send_response(7);
        assert_eq!(assert_ready!(request.poll()).unwrap(), 7);
        assert!(store.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn removes_one_entry_or_all() {
    let store = Store::new(1000, SECOND);
    let service = Cache::new(counter(), store.clone(), even);
    for n in [2, 4, 6] {
        service.clone().oneshot(n).await.unwrap();
    }
    assert!(store.remove(&4) && !store.remove(&4));
    assert_eq!(store.len(), 2);
    store.clear();
    assert!(store.is_empty());
    assert_eq!(service.oneshot(2).await.unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn hits_are_returned_while_the_service_is_not_ready() {
    let (mock, mut handle) = mock::pair::<u32, u32>();
    let mut service = Cache::new(mock, Store::new(9, SECOND), even);
    let mut request = task::spawn(service.call(2));
    assert_pending!(request.poll());
    handle.next_request().await.unwrap().1.send_response(7);
    assert_eq!(assert_ready!(request.poll()).unwrap(), 7);

    handle.allow(0);
    assert!(service.ready().now_or_never().is_some());
    assert_eq!(service.call(2).await.unwrap(), 7);
    let mut miss = task::spawn(service.call(4));
    assert_pending!(miss.poll());
    handle.allow(1);
    assert!(miss.is_woken());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_dropped_stores_nothing() {
    let (mock, mut handle) = mock::pair::<u32, u32>();
    let store = Store::new(9, SECOND);
    let mut service = Cache::new(mock, store.clone(), even);
    let mut request = task::spawn(service.call(2));
    assert_pending!(request.poll());
    let (_, respond) = handle.next_request().await.unwrap();
    drop(request);
    respond.send_response(7);
    assert!(store.is_empty());
}

#[tokio::test(start_paused = true)]
async fn services_of_a_layer_share_the_store() {
    let layer = CacheLayer::new(Store::new(9, SECOND), even);
    assert_eq!(layer.layer(counter()).oneshot(2).await.unwrap(), 0);
    let other = service_fn(|_: u32| async { unreachable!("stored") as Result<u32, BoxError> });
    assert_eq!(layer.layer(other).oneshot(2).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_endless_time_to_live_is_accepted() {
    let service = Cache::new(counter(), Store::new(9, Duration::MAX), even);
    assert_eq!(service.clone().oneshot(2).await.unwrap(), 0);
    advance(SECOND * 1_000_000).await;
    assert_eq!(service.oneshot(2).await.unwrap(), 0);
}

#[test]
fn parameters_are_checked() {
    let store = |max, ttl| Store::<u32, u32>::try_new(max, ttl).unwrap_err();
    assert_eq!(store(0, SECOND), InvalidCache::NoEntries);
    assert_eq!(store(1, Duration::ZERO), InvalidCache::NoTtl);
}

/// Four times as many keys as fit.
#[tokio::test(start_paused = true)]
async fn the_number_of_entries_is_bounded() {
    let store = Store::new(5000, SECOND);
    let service = Cache::new(counter(), store.clone(), even);
    for n in 0..20_000 {
        service.clone().oneshot(n * 2).await.unwrap();
        assert!(n % 1000 != 0 || store.len() <= 5000);
    }
    assert_eq!(store.len(), 5000);
}
