//! One call for all concurrent requests of a key.

use std::future::{Future, poll_fn, ready};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use tokio::task::yield_now;
use tokio::time::sleep;
use tokio_test::{assert_pending, assert_ready, task};
use tower_cache::BoxError;
use tower_cache::coalesce::{Coalesce, CoalesceLayer, Event};
use tower_cache::error::{InvalidCache, Panicked, SharedError};
use tower_classify::cause_ref;
use tower_layer::Layer;
use tower_service::Service;
use tower_test::mock;
use tower_util::{ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

/// The key is the tens of the number; numbers below 10 have no key.
fn tens(n: &u32) -> Option<u32> {
    (*n >= 10).then_some(*n / 10)
}

type Layered = Coalesce<mock::Mock<u32, u32>, fn(&u32) -> Option<u32>, u32, u32>;

fn coalesced(max_keys: usize) -> (Layered, mock::Handle<u32, u32>) {
    let (mock, handle) = mock::pair();
    let layer = CoalesceLayer::new(max_keys, tens as fn(&u32) -> Option<u32>);
    (layer.layer(mock), handle)
}

/// Starts a request without polling it.
fn send(
    service: &mut Layered,
    n: u32,
) -> task::Spawn<impl Future<Output = Result<u32, BoxError>> + use<>> {
    let cx = &mut Context::from_waker(Waker::noop());
    assert_ready!(service.poll_ready(cx)).unwrap();
    task::spawn(service.call(n))
}

async fn next(handle: &mut mock::Handle<u32, u32>) -> (u32, mock::SendResponse<u32>) {
    handle.next_request().await.unwrap()
}

#[tokio::test]
async fn concurrent_requests_of_a_key_share_a_call() {
    let (mut service, mut handle) = coalesced(9);
    let (mut first, mut second) = (send(&mut service, 11), send(&mut service, 12));
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    let (n, respond) = next(&mut handle).await;
    assert_eq!(n, 11);
    respond.send_response(7);
    assert!(first.is_woken() && second.is_woken());
    assert_eq!(assert_ready!(first.poll()).unwrap(), 7);
    assert_eq!(assert_ready!(second.poll()).unwrap(), 7);
    assert!(handle.next_request().now_or_never().is_none());
}

#[tokio::test]
async fn other_keys_and_no_keys_have_their_own_calls() {
    let (mut service, mut handle) = coalesced(9);
    for n in [11, 21, 1, 1] {
        let mut request = send(&mut service, n);
        assert_pending!(request.poll());
        let (received, respond) = next(&mut handle).await;
        assert_eq!(received, n);
        respond.send_response(n);
        assert_eq!(assert_ready!(request.poll()).unwrap(), n);
    }
}

#[tokio::test]
async fn a_request_after_the_response_begins_a_new_call() {
    let (mut service, mut handle) = coalesced(9);
    let mut first = send(&mut service, 11);
    assert_pending!(first.poll());
    next(&mut handle).await.1.send_response(1);
    assert_eq!(assert_ready!(first.poll()).unwrap(), 1);
    // The first future is still alive.
    let mut second = send(&mut service, 12);
    assert_pending!(second.poll());
    let (n, respond) = next(&mut handle).await;
    respond.send_response(2);
    assert_eq!((n, assert_ready!(second.poll()).unwrap()), (12, 2));
}

#[tokio::test]
async fn the_call_goes_on_without_the_first_request() {
    let (mut service, mut handle) = coalesced(9);
    let (mut first, mut second) = (send(&mut service, 11), send(&mut service, 12));
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    let (_, respond) = next(&mut handle).await;
    drop(first);
    respond.send_response(7);
    assert!(second.is_woken());
    assert_eq!(assert_ready!(second.poll()).unwrap(), 7);
    assert!(handle.next_request().now_or_never().is_none());
}

#[tokio::test]
async fn the_call_is_made_though_the_first_request_is_dropped_unpolled() {
    let (mut service, mut handle) = coalesced(9);
    let (first, mut second) = (send(&mut service, 11), send(&mut service, 12));
    drop(first);
    assert_pending!(second.poll());
    let (n, respond) = next(&mut handle).await;
    respond.send_response(7);
    assert_eq!((n, assert_ready!(second.poll()).unwrap()), (11, 7));
}

/// The request that was woken for the call is kept, and not polled.
#[tokio::test]
async fn a_request_that_is_not_polled_again_holds_up_nobody() {
    let (mut service, mut handle) = coalesced(9);
    handle.allow(0);
    let (mut first, mut second) = (send(&mut service, 11), send(&mut service, 12));
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    handle.allow(1);
    assert!(first.is_woken() && second.is_woken());
    assert_pending!(second.poll());
    next(&mut handle).await.1.send_response(7);
    assert!(second.is_woken());
    assert_eq!(assert_ready!(second.poll()).unwrap(), 7);
    assert_eq!(assert_ready!(first.poll()).unwrap(), 7);
}

#[tokio::test]
async fn the_call_is_dropped_with_its_last_request() {
    let alive = Arc::new(());
    let held = Arc::downgrade(&alive);
    let once = Arc::new(Mutex::new(Some(alive)));
    let hangs = service_fn(move |_: u32| {
        let alive = once.lock().unwrap().take();
        let mut wakers = Vec::new();
        // It holds its own waker.
        poll_fn(move |cx| {
            assert!(alive.is_some(), "one call");
            wakers.push(cx.waker().clone());
            Poll::<Result<u32, BoxError>>::Pending
        })
    });
    let layer = CoalesceLayer::new(9, tens);
    let service = layer.layer(hangs);
    let mut requests: Vec<_> = (10..13)
        .map(|n| service.clone().oneshot(n).boxed())
        .collect();
    for request in &mut requests {
        assert!(request.now_or_never().is_none());
    }
    // The first two are dropped.
    requests.drain(..2);
    assert_eq!((held.strong_count(), layer.keys()), (1, 1));
    requests.clear();
    assert_eq!((held.strong_count(), layer.keys()), (0, 0));
}

#[tokio::test]
async fn an_error_is_shared() {
    let (mut service, mut handle) = coalesced(9);
    let (mut first, mut second) = (send(&mut service, 11), send(&mut service, 12));
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    next(&mut handle).await.1.send_error(std::fmt::Error);
    for request in [&mut first, &mut second] {
        let error = assert_ready!(request.poll()).unwrap_err();
        assert!(error.is::<SharedError>());
        assert!(cause_ref::<std::fmt::Error>(error.as_ref()).is_some());
    }
    // The service can be used again.
    let mut third = send(&mut service, 13);
    assert_pending!(third.poll());
    next(&mut handle).await.1.send_response(3);
    assert_eq!(assert_ready!(third.poll()).unwrap(), 3);
}

#[tokio::test]
async fn beyond_the_maximum_of_keys_a_request_is_sent_alone() {
    let full = Arc::new(AtomicU32::new(0));
    let count = full.clone();
    let (mock, mut handle) = mock::pair();
    let layer = CoalesceLayer::new(1, tens as fn(&u32) -> Option<u32>).on_event(move |event| {
        if *event == Event::Full {
            count.fetch_add(1, SeqCst);
        }
    });
    let mut service: Layered = layer.layer(mock);
    let mut first = send(&mut service, 11);
    assert_pending!(first.poll());
    for _ in 0..2 {
        assert_pending!(send(&mut service, 21).poll());
        assert_eq!(layer.keys(), 1);
    }
    for n in [11, 21, 21] {
        assert_eq!(next(&mut handle).await.0, n);
    }
    assert_eq!(full.load(SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_panic_reaches_the_other_requests_as_an_error() {
    let calls = Arc::new(AtomicU32::new(0));
    let count = calls.clone();
    let inner = service_fn(move |n: u32| {
        let first = count.fetch_add(1, SeqCst) == 0;
        async move {
            sleep(SECOND).await;
            assert!(!first, "the first call panics");
            Ok::<_, BoxError>(n)
        }
    });
    let service = CoalesceLayer::new(9, tens).layer(inner);
    let tasks = (10..14).map(|n| tokio::spawn(service.clone().oneshot(n)));
    let results = join_all(tasks).await;
    let (panicked, others): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_err);
    assert_eq!((panicked.len(), others.len()), (1, 3));
    for other in others {
        assert!(other.unwrap().unwrap_err().is::<Panicked>());
    }
    assert_eq!(service.oneshot(15).await.unwrap(), 15);
    assert_eq!(calls.load(SeqCst), 2);
}

/// A call that wakes itself while it is polled is polled again.
#[tokio::test]
async fn a_call_that_yields_completes() {
    let inner = service_fn(|n: u32| {
        let mut polls = 0;
        poll_fn(move |cx| {
            polls += 1;
            if polls == 100 {
                return Poll::Ready(Ok::<_, BoxError>(n));
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    });
    let service = CoalesceLayer::new(9, tens).layer(inner);
    let requests = (10..20).map(|n| service.clone().oneshot(n));
    for response in join_all(requests).await {
        assert_eq!(response.unwrap(), 10);
    }
}

/// A call that waits for itself hangs, but blocks no thread and panics nowhere.
#[tokio::test(start_paused = true)]
async fn a_call_that_joins_itself_can_be_dropped() {
    type Own = Coalesce<Recursive, fn(&u32) -> Option<u32>, u32, u32>;

    #[derive(Clone, Default)]
    struct Recursive(Arc<Mutex<Option<Own>>>);

    impl Service<u32> for Recursive {
        type Response = u32;
        type Error = BoxError;
        type Future = Pin<Box<dyn Future<Output = Result<u32, BoxError>> + Send>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, n: u32) -> Self::Future {
            let itself = self.0.lock().unwrap().clone().unwrap();
            Box::pin(async move {
                yield_now().await;
                itself.oneshot(n).await
            })
        }
    }

    let inner = Recursive::default();
    let layer = CoalesceLayer::new(9, tens as fn(&u32) -> Option<u32>);
    let service = layer.layer(inner.clone());
    *inner.0.lock().unwrap() = Some(service.clone());
    let request = tokio::time::timeout(SECOND, service.oneshot(11));
    assert!(request.await.is_err());
    *inner.0.lock().unwrap() = None;
}

#[tokio::test]
async fn the_last_request_gets_the_response_without_a_clone() {
    #[derive(Debug)]
    struct Counted(Arc<AtomicU32>);

    impl Clone for Counted {
        fn clone(&self) -> Self {
            self.0.fetch_add(1, SeqCst);
            Self(Arc::clone(&self.0))
        }
    }

    let clones = Arc::new(AtomicU32::new(0));
    let response = clones.clone();
    let inner = service_fn(move |_: u32| {
        let response = Counted(response.clone());
        async move {
            yield_now().await;
            Ok::<_, BoxError>(response)
        }
    });
    let service = CoalesceLayer::new(9, tens).layer(inner);
    service.clone().oneshot(10).await.unwrap();
    assert_eq!(clones.load(SeqCst), 0);
    join_all((10..15).map(|n| service.clone().oneshot(n))).await;
    assert_eq!(clones.load(SeqCst), 4);
}

async fn yielding(n: u32) -> Result<u32, BoxError> {
    for _ in 0..n % 7 {
        yield_now().await;
    }
    if n.is_multiple_of(5) {
        Err("failed".into())
    } else {
        Ok(n / 10)
    }
}

/// Requests of few keys on several threads, many of which are dropped. Each that is not dropped gets a response.
#[test]
fn nobody_waits_forever() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let layer = CoalesceLayer::new(99, tens);
        let service = layer.layer(service_fn(yielding));
        let tasks: Vec<_> = (0..8_u32)
            .map(|seed| {
                let service = service.clone();
                tokio::spawn(async move {
                    for i in 0..4_000_u32 {
                        let n = 10 + (i.wrapping_mul(2_654_435_761).rotate_left(seed * 3)) % 30;
                        let mut request = Box::pin(service.clone().oneshot(n));
                        if i % 3 == seed % 3 {
                            // Polled once or not at all, and dropped.
                            if i % 2 == 0 {
                                let cx = &mut Context::from_waker(Waker::noop());
                                let _ = request.as_mut().poll(cx);
                            }
                            continue;
                        }
                        if let Ok(response) = request.await {
                            assert_eq!(response, n / 10);
                        }
                    }
                })
            })
            .collect();
        for joined in join_all(tasks).await {
            joined.unwrap();
        }
        assert_eq!(layer.keys(), 0);
    });
}

#[tokio::test]
async fn always_ready_and_waits_for_the_service_in_the_future() {
    let (mut service, mut handle) = coalesced(9);
    handle.allow(0);
    let mut request = send(&mut service, 11);
    assert_pending!(request.poll());
    handle.allow(1);
    assert!(request.is_woken());
    assert_pending!(request.poll());
    next(&mut handle).await.1.send_response(7);
    assert_eq!(assert_ready!(request.poll()).unwrap(), 7);
}

#[test]
fn at_least_one_key() {
    let layer = CoalesceLayer::<_, u32, u32>::try_new(0, tens);
    assert_eq!(layer.unwrap_err(), InvalidCache::NoKeys);
}

#[tokio::test]
async fn a_service_of_responses_that_are_ready() {
    let service =
        CoalesceLayer::new(9, tens).layer(service_fn(|n: u32| ready(Ok::<_, BoxError>(n))));
    assert_eq!(service.clone().oneshot(11).await.unwrap(), 11);
    assert_eq!(service.oneshot(12).await.unwrap(), 12);
}
