//! A discovery error removes no endpoint, and closes no buffer.
#![cfg(feature = "full")]

use std::convert::Infallible;
use std::error::Error;
use std::future::{Ready, poll_fn, ready};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::channel::mpsc;
use futures::{FutureExt, Stream, StreamExt, TryStreamExt};
use tower::balance::error::{Discover, NoEndpoints};
use tower::balance::p2c::Balance;
use tower::balance::subset::Subset;
use tower::balance::{Event, picker::RoundRobin};
use tower::buffer::Buffer;
use tower::buffer::error::ServiceError;
use tower::discover::{self, Change};
use tower::health::check::{CheckConfig, CheckHealth, Verdict};
use tower::health::policy::{SlowStart, outlier::OutlierConfig};
use tower::health::{
    AccrueFailures, EjectOutliers, EndpointStates, ErrorIsFailure, Health, HealthExt, Observe,
    SlowStartDiscover,
};
use tower::load::{CompleteOnResponse, Constant, Load, PeakEwmaDiscover, PendingRequestsDiscover};
use tower::{BoxError, Service, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

/// Echoes, or fails.
#[derive(Clone)]
struct Endpoint(bool);

impl Service<u32> for Endpoint {
    type Response = u32;
    type Error = BoxError;
    type Future = Ready<Result<u32, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, n: u32) -> Self::Future {
        ready(match self.0 {
            true => Ok(n),
            false => Err("broken".into()),
        })
    }
}

impl Load for Endpoint {
    type Metric = u32;

    fn load(&self) -> u32 {
        1
    }
}

type Found<S = Endpoint> = Result<Change<u32, S>, &'static str>;

fn insert(key: u32) -> Found {
    Ok(Change::Insert(key, Endpoint(true)))
}

/// Polls all woken tasks until none makes progress.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// One endpoint is discovered, then an error: ten of ten requests succeed, and a further endpoint is used.
async fn survives<D>(wrap: impl FnOnce(mpsc::UnboundedReceiver<Found>) -> D)
where
    D: discover::Discover<Key = u32, Error: Into<BoxError>> + Unpin + Send + 'static,
    D::Service: Service<u32, Response = u32, Error = BoxError> + Load + Send,
    <D::Service as Service<u32>>::Future: Send,
    <D::Service as Load>::Metric: std::fmt::Debug,
{
    let (changes, found) = mpsc::unbounded();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let observer = Arc::clone(&seen);
    let balance = Balance::new(wrap(found)).on_event(move |event| {
        let Event::DiscoveryFailed { error } = event else {
            panic!("{event:?}")
        };
        observer
            .lock()
            .unwrap()
            .push(error.source().unwrap().to_string());
    });
    let buffer = Buffer::new(balance, 16);
    changes.unbounded_send(insert(1)).unwrap();
    changes.unbounded_send(Err("no such name")).unwrap();
    settle().await;
    assert_eq!(*seen.lock().unwrap(), ["no such name"]);
    for n in 0..10 {
        assert_eq!(buffer.clone().oneshot(n).await.unwrap(), n);
    }
    // It is replaced by another one, even right after a second error.
    changes.unbounded_send(Err("still not")).unwrap();
    changes.unbounded_send(insert(2)).unwrap();
    changes.unbounded_send(Ok(Change::Remove(1))).unwrap();
    tokio::time::sleep(2 * SECOND).await;
    settle().await;
    assert_eq!(*seen.lock().unwrap(), ["no such name", "still not"]);
    for n in 0..10 {
        assert_eq!(buffer.clone().oneshot(n).await.unwrap(), n);
    }
    // The last endpoint is removed.
    changes.unbounded_send(Ok(Change::Remove(2))).unwrap();
    drop(changes);
    settle().await;
    let error = buffer.oneshot(1).await.unwrap_err();
    let error = error.downcast::<ServiceError>().unwrap();
    assert!(error.source().unwrap().is::<NoEndpoints>(), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn an_error_of_discovery_closes_no_buffer() {
    survives(|found| found).await;
}

#[tokio::test(start_paused = true)]
async fn an_error_of_discovery_closes_no_buffer_with_wrappers() {
    let completion = CompleteOnResponse::default();
    survives(|found| PendingRequestsDiscover::new::<u32>(found, completion)).await;
    survives(|found| PeakEwmaDiscover::new::<u32>(found, SECOND, SECOND, completion)).await;
    survives(|found| EjectOutliers::new(found, OutlierConfig::default(), ErrorIsFailure).unwrap())
        .await;
    survives(|found| AccrueFailures::new(found, Default::default(), ErrorIsFailure).unwrap()).await;
    survives(|found| SlowStartDiscover::new(found, SlowStart::new(SECOND))).await;
    survives(|found| Observe::new(found, EndpointStates::new(Health::new()))).await;
    survives(|found| {
        let check = service_fn(|_: u32| ready(Ok::<_, BoxError>(Verdict::Healthy)));
        CheckHealth::new(found, CheckConfig::default(), check).unwrap()
    })
    .await;
    survives(|found| Subset::rendezvous(found, 2, 42)).await;
    survives(|found| {
        let found = AccrueFailures::new(found, Default::default(), ErrorIsFailure).unwrap();
        let found = EjectOutliers::new(found, OutlierConfig::default(), ErrorIsFailure).unwrap();
        SlowStartDiscover::new(found, SlowStart::new(SECOND))
    })
    .await;
}

/// As when a program starts before its name server: requests fail, and the buffer stays open.
#[tokio::test(start_paused = true)]
async fn requests_get_the_error_while_there_is_no_endpoint() {
    let (changes, found) = mpsc::unbounded::<Found>();
    let buffer = Buffer::new(Balance::new(found), 16);
    let mut waiting = Box::pin(buffer.clone().oneshot(1));
    assert!(waiting.as_mut().now_or_never().is_none());
    for error in ["no such name", "no such name yet"] {
        changes.unbounded_send(Err(error)).unwrap();
        tokio::time::sleep(2 * SECOND).await;
        for _ in 0..3 {
            let failed = buffer.clone().oneshot(1).await.unwrap_err();
            let failed = failed.downcast::<Discover>().unwrap();
            assert_eq!(failed.source().unwrap().to_string(), error);
        }
    }
    let failed = waiting.await.unwrap_err();
    assert!(
        failed.is::<Discover>(),
        "the first request waits for discovery"
    );
    changes.unbounded_send(insert(1)).unwrap();
    settle().await;
    assert_eq!(buffer.clone().oneshot(7).await.unwrap(), 7);
    // Discovery works again: requests wait for the next change.
    changes.unbounded_send(Ok(Change::Remove(1))).unwrap();
    settle().await;
    let mut waiting = Box::pin(buffer.clone().oneshot(8));
    assert!(waiting.as_mut().now_or_never().is_none());
    changes.unbounded_send(insert(2)).unwrap();
    assert_eq!(waiting.await.unwrap(), 8);
}

/// No further change is possible: `poll_ready` fails, with the error as its source.
#[tokio::test(start_paused = true)]
async fn the_end_of_discovery_after_an_error_reports_the_error() {
    let found = futures::stream::iter([Found::<Endpoint>::Err("no such name")]);
    let mut balance = Balance::new(found);
    let error = poll_fn(|cx| balance.poll_ready(cx)).await.unwrap_err();
    assert!(error.is::<Discover>());

    let found = futures::stream::iter([insert(1), Err("no such name")]);
    let mut balance = Balance::new(found);
    for n in 0..10 {
        assert_eq!(balance.ready().await.unwrap().call(n).await.unwrap(), n);
    }
}

/// Pickers that pick by request, or in turn, also have no endpoint to pick.
#[tokio::test(start_paused = true)]
async fn the_error_is_reported_with_every_picker() {
    use tower::balance::picker::{LeastLoaded, RingHash};
    let found = || {
        futures::stream::iter([Found::<Endpoint>::Err("no such name")])
            .chain(futures::stream::pending())
    };
    let by_key = RingHash::by(|n: &u32| Some(u64::from(*n)));
    let mut ring = Balance::with_picker(found(), by_key);
    let mut turns = Balance::with_picker(found(), RoundRobin::new());
    let mut least = Balance::with_picker(found(), LeastLoaded::new()).avoid_tried(|_| None);
    for n in 0..3 {
        let errors = [
            ring.ready().await.unwrap().call(n).await.unwrap_err(),
            turns.ready().await.unwrap().call(n).await.unwrap_err(),
            least.ready().await.unwrap().call(n).await.unwrap_err(),
        ];
        assert!(errors.iter().all(|error| error.is::<Discover>()));
    }
}

/// Yields its endpoints, and then fails at every poll.
struct Failing {
    endpoints: Vec<Change<u32, Endpoint>>,
    failures: Arc<AtomicUsize>,
}

impl Stream for Failing {
    type Item = Found;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Found>> {
        if let Some(change) = self.endpoints.pop() {
            return Poll::Ready(Some(Ok(change)));
        }
        self.failures.fetch_add(1, SeqCst);
        Poll::Ready(Some(Err("no such name")))
    }
}

fn failing(endpoints: &[bool]) -> (Failing, Arc<AtomicUsize>) {
    let endpoints = (0..).zip(endpoints);
    let failures = Arc::default();
    let failing = Failing {
        endpoints: endpoints
            .map(|(key, works)| Change::Insert(key, Endpoint(*works)))
            .collect(),
        failures: Arc::clone(&failures),
    };
    (failing, failures)
}

#[tokio::test(start_paused = true)]
async fn a_discovery_that_always_fails_is_not_polled_in_a_loop() {
    let (found, failures) = failing(&[true]);
    let told = Arc::new(AtomicUsize::new(0));
    let observer = Arc::clone(&told);
    let balance = Balance::new(found).on_event(move |_| {
        observer.fetch_add(1, SeqCst);
    });
    let buffer = Buffer::new(balance, 16);
    for n in 0..100 {
        assert_eq!(buffer.clone().oneshot(n).await.unwrap(), n);
        tokio::time::sleep(SECOND / 10).await;
    }
    let (failures, told) = (failures.load(SeqCst), told.load(SeqCst));
    assert!((9..=12).contains(&failures), "{failures} in ten seconds");
    assert!(told + 1 >= failures, "{told} of {failures}");
}

/// The same for one that waits for less than a second between its failures.
#[tokio::test(start_paused = true)]
async fn a_discovery_that_retries_without_backoff_is_not_polled_in_a_loop() {
    let lookups = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&lookups);
    let found = futures::stream::unfold((), move |()| {
        let counter = Arc::clone(&counter);
        async move {
            tokio::time::sleep(SECOND / 1000).await;
            counter.fetch_add(1, SeqCst);
            Some((Found::<Endpoint>::Err("no such name"), ()))
        }
    });
    let _buffer = Buffer::new(Balance::new(Box::pin(found)), 16);
    tokio::time::sleep(10 * SECOND).await;
    let lookups = lookups.load(SeqCst);
    assert!((9..=12).contains(&lookups), "{lookups} in ten seconds");
}

/// Ejected endpoints are used again when their ejection time has passed.
#[tokio::test(start_paused = true)]
async fn ejections_end_while_discovery_fails() {
    let (found, _) = failing(&[true, true, false]);
    let health = Health::new();
    let config = OutlierConfig::default()
        .consecutive(Some(3))
        .base_ejection_time(10 * SECOND);
    let found = found
        .share_health(health.clone())
        .eject_outliers(config, ErrorIsFailure)
        .unwrap()
        .slow_start(SlowStart::new(SECOND));
    let balance = Balance::with_picker(found, RoundRobin::new());
    let buffer = Buffer::new(balance, 16);
    for n in 0..20 {
        let _ = buffer.clone().oneshot(n).await;
    }
    assert_eq!(health.healthy(), 2);
    tokio::time::sleep(25 * SECOND).await;
    assert_eq!(health.healthy(), 3);
}

/// Outside of a tokio runtime, errors set no timers and cause no panic.
#[test]
fn errors_do_not_panic_outside_of_a_runtime() {
    let found = [insert(1), Err("one"), Err("two"), insert(2), Err("three")];
    let found = futures::stream::iter(found).chain(futures::stream::pending());
    let mut balance = Balance::new(found);
    for n in 0..10 {
        let service = futures::executor::block_on(balance.ready()).unwrap();
        assert_eq!(futures::executor::block_on(service.call(n)).unwrap(), n);
    }
    assert_eq!(balance.len(), 2);
}

/// Even while its replacement connects, however long that takes.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_being_replaced_counts_once() {
    let (changes, found) = mpsc::unbounded::<Result<_, Infallible>>();
    let (old, _handle) = tower_test::mock::pair::<u32, u32>();
    let (new, mut new_handle) = tower_test::mock::pair::<u32, u32>();
    new_handle.allow(0);
    let mut balance = Balance::new(found.map_ok(|change| change));
    changes
        .unbounded_send(Ok(Change::Insert(1, Constant::new(old, 1))))
        .unwrap();
    balance.ready().await.unwrap();
    assert_eq!(balance.len(), 1);
    changes
        .unbounded_send(Ok(Change::Insert(1, Constant::new(new, 1))))
        .unwrap();
    balance.ready().await.unwrap();
    assert_eq!(balance.len(), 1);
    new_handle.allow(1);
    balance.ready().await.unwrap();
    assert_eq!(balance.len(), 1);
    changes.unbounded_send(Ok(Change::Remove(1))).unwrap();
    assert!(balance.ready().now_or_never().is_none());
    assert!(balance.is_empty());
}
