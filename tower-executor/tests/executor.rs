//! Requests in tasks of their own.

use std::future::{Pending, pending, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use futures::future::join_all;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::yield_now;
use tokio::time::sleep;
use tokio_test::{assert_pending, task};
use tower_executor::error::{Panicked, QueueFull, Stopped};
use tower_executor::{BoxError, Event, Executor, ExecutorLayer};
use tower_layer::Layer;
use tower_readiness::{LayerEvent, Purpose};
use tower_service::Service;
use tower_util::{ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

fn layer(max_tasks: usize, max_queued: usize) -> ExecutorLayer {
    let layer = ExecutorLayer::new(Handle::current());
    layer.max_tasks(max_tasks, max_queued).unwrap()
}

async fn settle() {
    for _ in 0..20 {
        yield_now().await;
    }
}

#[test]
fn a_request_runs_on_the_other_runtime() {
    let other = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("other")
        .build()
        .unwrap();
    let inner = service_fn(|n: u32| async move {
        assert_eq!(thread::current().name(), Some("other"));
        Ok::<_, BoxError>(n)
    });
    let service = Executor::new(inner, other.handle().clone());
    let here = Builder::new_current_thread().build().unwrap();
    assert_eq!(here.block_on(service.oneshot(7)).unwrap(), 7);
}

#[tokio::test(start_paused = true)]
async fn at_most_the_maximum_runs_and_the_queue_is_bounded() {
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = (running.clone(), most.clone());
    let inner = service_fn(move |n: u32| {
        let (running, most) = counts.clone();
        async move {
            most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
            sleep(SECOND).await;
            running.fetch_sub(1, SeqCst);
            Ok::<_, BoxError>(n)
        }
    });
    let service = layer(2, 3).layer(inner);
    for _ in 0..2 {
        let results = join_all((0..9).map(|n| service.clone().oneshot(n))).await;
        let refused = results.iter().filter_map(|result| result.as_ref().err());
        assert_eq!(refused.filter(|error| error.is::<QueueFull>()).count(), 4);
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 5);
        settle().await;
    }
    assert_eq!((most.load(SeqCst), running.load(SeqCst)), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_dropped_aborts_its_task_and_frees_its_place() {
    let alive = Arc::new(());
    let held = alive.clone();
    let inner = service_fn(move |_: u32| {
        let held = held.clone();
        async move {
            let _held = held;
            pending::<Result<u32, BoxError>>().await
        }
    });
    let mut service = layer(1, 1).layer(inner);
    for _ in 0..3 {
        let before = Arc::strong_count(&alive);
        // The first one runs, and the second one waits.
        let mut responses = Vec::new();
        for n in 0..2 {
            let mut response = task::spawn(service.ready().await.unwrap().call(n));
            assert_pending!(response.poll());
            responses.push(response);
        }
        settle().await;
        assert_eq!(Arc::strong_count(&alive), before + 2);
        let refused = service.ready().await.unwrap().call(3).await;
        assert!(refused.unwrap_err().is::<QueueFull>());
        drop(responses);
        settle().await;
        assert_eq!(Arc::strong_count(&alive), before);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_runs_when_the_one_before_is_dropped() {
    let inner = service_fn(|n: u32| async move {
        if n == 0 {
            pending::<()>().await;
        }
        Ok::<_, BoxError>(n)
    });
    let mut service = layer(1, 1).layer(inner);
    let mut first = task::spawn(service.ready().await.unwrap().call(0));
    let mut second = task::spawn(service.ready().await.unwrap().call(1));
    settle().await;
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    drop(first);
    assert_eq!(second.await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_an_error_and_frees_its_place() {
    let panics = Arc::new(AtomicUsize::new(0));
    let seen = panics.clone();
    let inner = service_fn(|n: u32| async move {
        assert!(n != 13, "bad luck: {n}");
        Ok::<_, BoxError>(n)
    });
    let service = layer(1, 0)
        .on_event(move |event: &Event| {
            assert_eq!(event.kind(), "panicked");
            seen.fetch_add(1, SeqCst);
        })
        .layer(inner);
    for _ in 0..3 {
        let error = service.clone().oneshot(13).await.unwrap_err();
        let panicked = error.downcast_ref::<Panicked>().unwrap();
        assert_eq!(panicked.message(), Some("bad luck: 13"));
        assert_eq!(service.clone().oneshot(1).await.unwrap(), 1);
    }
    assert_eq!(panics.load(SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn errors_of_the_service_are_passed_on() {
    let inner = service_fn(|_: u32| ready(Err::<u32, _>(std::fmt::Error)));
    let error = layer(1, 0).layer(inner).oneshot(1).await.unwrap_err();
    assert!(error.is::<std::fmt::Error>());
}

#[tokio::test]
async fn a_runtime_that_was_shut_down_is_an_error() {
    let other: Runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let inner = service_fn(|n: u32| ready(Ok::<_, BoxError>(n)));
    let service = Executor::new(inner, other.handle().clone());
    other.shutdown_background();
    assert!(service.oneshot(1).await.unwrap_err().is::<Stopped>());
}

#[tokio::test]
async fn at_least_one_request_at_a_time() {
    let layer = ExecutorLayer::new(Handle::current());
    assert!(layer.clone().max_tasks(0, 9).is_err());
    assert!(layer.max_tasks(usize::MAX, usize::MAX).is_ok());
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
async fn a_refused_request_releases_what_was_reserved_for_it() {
    let inner = Reserving::default();
    let reserved = inner.0.clone();
    let mut service = layer(1, 0).layer(inner);
    let _running = service.ready().await.unwrap().call(1);
    service.ready().await.unwrap();
    assert!(reserved.load(SeqCst));
    let _refused = service.call(2);
    assert!(!reserved.load(SeqCst));
}
