//! The fallback, with each kind of substitute.

use std::future::{pending, ready};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;

use futures::FutureExt;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower_classify::{Class, FailureKind, cause_ref};
use tower_fallback::error::FallbackFailed;
use tower_fallback::{BoxError, Event, Fallback, FallbackLayer, FromValue};
use tower_layer::Layer;
use tower_readiness::LayerEvent;
use tower_service::Service;
use tower_test::{assert_request_eq, mock};
use tower_util::{ServiceExt, service_fn};

type Mock = mock::Mock<u32, &'static str>;

fn failing() -> impl Service<u32, Response = u32, Error = io::Error, Future: Send> + Clone {
    service_fn(|n: u32| ready(Err(io::Error::other(format!("failed {n}")))))
}

#[tokio::test]
async fn a_success_is_returned_and_the_fallback_is_not_asked() {
    let fallback =
        service_fn(|_: u32| async { unreachable!("not asked") as Result<u32, BoxError> });
    let inner = service_fn(|n: u32| ready(Ok::<_, BoxError>(n + 1)));
    let service = FallbackLayer::service(fallback).layer(inner);
    assert_eq!(service.oneshot(1).await.unwrap(), 2);
}

#[tokio::test]
async fn a_predicate_on_the_error_decides() {
    let layer = FallbackLayer::value(7).when(|error: &io::Error| error.to_string() == "failed 1");
    let service = layer.layer(failing());
    assert_eq!(service.clone().oneshot(1).await.unwrap(), 7);
    assert_eq!(
        service.oneshot(2).await.unwrap_err().to_string(),
        "failed 2"
    );
}

#[tokio::test]
async fn a_classification_makes_a_response_a_failure() {
    let inner = service_fn(|n: u32| ready(Ok::<_, io::Error>(n)));
    let classify = |result: Result<&u32, &io::Error>| match result {
        Ok(500..) => Class::failure(FailureKind::Internal),
        _ => Class::Success,
    };
    let layer = FallbackLayer::function(|failed: Result<u32, io::Error>| failed.map(|n| n - 500));
    let service = layer.classify(classify).layer(inner);
    assert_eq!(service.clone().oneshot(503).await.unwrap(), 3);
    assert_eq!(service.oneshot(200).await.unwrap(), 200);
}

#[tokio::test]
async fn an_ignored_result_is_passed_on() {
    let layer = FallbackLayer::value(7).classify(|_: Result<&u32, &io::Error>| Class::Ignored);
    assert!(layer.layer(failing()).oneshot(1).await.is_err());
}

#[tokio::test]
async fn the_error_of_the_fallback_service_has_precedence_over_the_original() {
    let broken = service_fn(|_: u32| ready(Err::<u32, _>(std::fmt::Error)));
    let service = FallbackLayer::service(broken).layer(failing());
    let error = service.oneshot(1).await.unwrap_err();
    assert!(cause_ref::<std::fmt::Error>(error.as_ref()).is_some());
    assert!(cause_ref::<io::Error>(error.as_ref()).is_none());
    let failed = error.downcast_ref::<FallbackFailed>().unwrap();
    assert!(failed.original().unwrap().is::<io::Error>());
    assert_eq!(
        failed.to_string(),
        "the fallback failed too, after: failed 1"
    );
}

#[tokio::test]
async fn an_error_that_is_no_failure_is_not_wrapped() {
    let layer = FallbackLayer::service(failing()).when(|_: &io::Error| false);
    let error = layer.layer(failing()).oneshot(1).await.unwrap_err();
    assert!(error.is::<io::Error>());
}

/// A request that counts its clones.
#[derive(Debug)]
struct Counted(Arc<AtomicU32>);

impl Clone for Counted {
    fn clone(&self) -> Self {
        self.0.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&self.0))
    }
}

#[tokio::test]
async fn a_request_is_cloned_only_for_a_fallback_that_needs_it() {
    let inner = service_fn(|_: Counted| ready(Err::<u32, _>(io::Error::other("failed"))));
    let clones = Arc::new(AtomicU32::new(0));

    let value = FallbackLayer::value(1).layer(inner);
    value.oneshot(Counted(clones.clone())).await.unwrap();
    let function = FallbackLayer::function(|_: Result<u32, io::Error>| Ok(1)).layer(inner);
    function.oneshot(Counted(clones.clone())).await.unwrap();
    assert_eq!(clones.load(Ordering::Relaxed), 0);

    let of_request = |_: Counted, _: Result<u32, io::Error>| Ok(1);
    let function = FallbackLayer::request_function(of_request).layer(inner);
    function.oneshot(Counted(clones.clone())).await.unwrap();
    assert_eq!(clones.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn waits_for_the_readiness_of_the_fallback_service() {
    let (other, mut other_handle) = mock::pair::<u32, &'static str>();
    let layer = FallbackLayer::service(other);
    let (mut service, mut handle) = mock::spawn_layer::<u32, &'static str, _>(layer);
    other_handle.allow(0);
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(1));
    assert_pending!(response.poll());
    assert_request_eq!(handle, 1).send_error("failed");
    assert!(response.is_woken());
    assert_pending!(response.poll());
    other_handle.allow(1);
    assert!(response.is_woken());
    assert_pending!(response.poll());
    assert_request_eq!(other_handle, 1).send_response("from elsewhere");
    assert!(response.is_woken());
    assert_eq!(assert_ready_ok!(response.poll()), "from elsewhere");
}

#[test]
fn an_error_of_readiness_is_passed_on() {
    let (mut service, mut handle) = mock::spawn_layer(FallbackLayer::service(failing_mock()));
    handle.send_error("broken");
    let error = assert_ready_err!(service.poll_ready());
    assert_eq!(error.to_string(), "broken");
}

fn failing_mock() -> Mock {
    mock::pair().0
}

#[test]
fn the_inner_future_is_dropped_before_the_fallback_begins() {
    struct Inner(Arc<AtomicU32>);
    impl Drop for Inner {
        fn drop(&mut self) {
            self.0.store(1, Ordering::Relaxed);
        }
    }
    let dropped = Arc::new(AtomicU32::new(0));
    let guard = dropped.clone();
    let inner = service_fn(move |_: u32| {
        // Held by the future, not by its body.
        let held = Inner(guard.clone());
        std::future::poll_fn(move |_| {
            let _ = &held;
            Poll::Ready(Err::<u32, _>(io::Error::other("failed")))
        })
    });
    let fallback = move |_: Result<u32, io::Error>| Ok(dropped.load(Ordering::Relaxed));
    let service = FallbackLayer::function(fallback).layer(inner);
    assert_eq!(service.oneshot(1).now_or_never().unwrap().unwrap(), 1);
}

#[tokio::test]
async fn a_dropped_response_drops_the_request_to_the_fallback() {
    let alive = Arc::new(());
    let held = alive.clone();
    let hangs = service_fn(move |_: u32| {
        let held = held.clone();
        async move {
            let _held = held;
            pending::<Result<u32, BoxError>>().await
        }
    });
    let mut service = FallbackLayer::service(hangs).layer(failing());
    let mut response = Box::pin(service.ready().await.unwrap().call(1));
    let before = Arc::strong_count(&alive);
    assert!(response.as_mut().now_or_never().is_none());
    drop(response);
    assert!(Arc::strong_count(&alive) < before);
}

#[tokio::test]
async fn the_observer_sees_each_use_and_each_failure() {
    let (used, failed) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let counts = (used.clone(), failed.clone());
    let observe = move |event: &Event| {
        let count = match event.kind() {
            "used" => &counts.0,
            _ => &counts.1,
        };
        count.fetch_add(1, Ordering::Relaxed);
    };
    let even = |n: u32, failed: Result<u32, io::Error>| match n % 2 {
        0 => Ok(n),
        _ => failed,
    };
    let service = FallbackLayer::request_function(even)
        .on_event(observe)
        .layer(failing());
    for n in 0..3 {
        let _ = service.clone().oneshot(n).await;
    }
    assert_eq!(used.load(Ordering::Relaxed), 3);
    assert_eq!(failed.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn works_after_an_error() {
    let mut service = Fallback::new(failing(), FromValue::new(7));
    for n in 0..3 {
        assert_eq!(service.ready().await.unwrap().call(n).await.unwrap(), 7);
    }
}
