//! The wrappers around a `Discover`.
#![cfg(feature = "discover")]

use std::time::Duration;

use futures::StreamExt;
use tower_classify::{BoxError, Class, FailureKind};
use tower_discover::{Change, channel};
use tower_load::{CompleteOnResponse, Constant, Load, PeakEwmaDiscover, PendingRequestsDiscover};
use tower_service::Service as _;
use tower_test::mock::{self, Mock};

type Service = Mock<u32, u32>;

#[tokio::test]
async fn services_are_wrapped_and_removals_are_passed_on() {
    let (changes, discover) = channel::<u8, Service>(4);
    let mut pending = PendingRequestsDiscover::new::<u32>(discover, CompleteOnResponse::default());
    changes.insert(1, mock::pair().0).await.unwrap();
    changes.remove(1).await.unwrap();
    drop(changes);
    assert!(
        matches!(pending.next().await, Some(Ok(Change::Insert(1, service))) if service.load().get() == 0)
    );
    assert!(matches!(pending.next().await, Some(Ok(Change::Remove(1)))));
    assert!(pending.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn peak_ewma_starts_with_the_default() {
    let (changes, discover) = channel::<u8, Service>(4);
    let second = Duration::from_secs(1);
    let mut ewma =
        PeakEwmaDiscover::new::<u32>(discover, second, second, CompleteOnResponse::default());
    changes.insert(1, mock::pair().0).await.unwrap();
    changes.insert(2, mock::pair().0).await.unwrap();
    let Some(Ok(Change::Insert(1, first))) = ewma.next().await else {
        panic!("an insert")
    };
    tokio::time::advance(second).await;
    let Some(Ok(Change::Insert(2, second))) = ewma.next().await else {
        panic!("an insert")
    };
    assert!(first.load() < second.load(), "the older one has decayed");
}

#[tokio::test(start_paused = true)]
async fn peak_ewma_classifies_the_results_of_discovered_services() {
    let (changes, discover) = channel::<u8, Service>(4);
    let second = Duration::from_secs(1);
    let classify = |result: Result<&u32, &BoxError>| match result {
        Ok(500..) | Err(_) => Class::failure(FailureKind::Internal),
        Ok(_) => Class::Success,
    };
    let completion = CompleteOnResponse::default();
    let ewma = PeakEwmaDiscover::new::<u32>(discover, second, second, completion);
    let mut ewma = ewma.classify(classify);
    let (service, mut handle) = mock::pair();
    changes.insert(1, service).await.unwrap();
    let Some(Ok(Change::Insert(1, mut endpoint))) = ewma.next().await else {
        panic!("an insert")
    };
    let before = endpoint.load();
    futures::future::poll_fn(|cx| endpoint.poll_ready(cx))
        .await
        .unwrap();
    let answer = tokio::spawn(endpoint.call(1));
    handle.next_request().await.unwrap().1.send_response(503);
    assert_eq!(answer.await.unwrap().unwrap(), 503);
    assert!(endpoint.load() > before);
}

#[tokio::test]
async fn a_constant_gives_all_services_the_same_load() {
    let (changes, discover) = channel::<u8, Service>(4);
    let mut constant = Constant::new(discover, 3);
    changes.insert(1, mock::pair().0).await.unwrap();
    assert!(
        matches!(constant.next().await, Some(Ok(Change::Insert(1, service))) if service.load() == 3)
    );
}
