//! A balancer with all kinds of pickers in a stack: endpoints at their limit are skipped, removed ones drain, and changes are
//! processed without traffic.
#![cfg(feature = "full")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tower::balance::p2c::Balance;
use tower::balance::picker::{LeastLoaded, MaglevHash, RingHash, RoundRobin};
use tower::buffer::Buffer;
use tower::discover::{ServiceList, channel};
use tower::limit::ConcurrencyLimit;
use tower::load::{CompleteOnResponse, PendingRequests};
use tower::{BoxError, Service, ServiceExt, service_fn};

/// Responds with its name when it gets a permit of the semaphore `gate`.
fn gated(
    name: &'static str,
    gate: &Arc<Semaphore>,
) -> impl Service<u64, Response = &'static str, Error = BoxError, Future: Send> + Send + use<> {
    let gate = Arc::clone(gate);
    service_fn(move |_: u64| {
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await?.forget();
            Ok(name)
        }
    })
}

/// The key of a request is the request.
fn key(request: &u64) -> Option<u64> {
    Some(*request)
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_at_its_limit_is_skipped() {
    let gate = Arc::new(Semaphore::new(0));
    let limited = |name| {
        let limited = ConcurrencyLimit::new(gated(name, &gate), 1);
        PendingRequests::new(limited, CompleteOnResponse::default())
    };
    let list = || ServiceList::new::<u64>(["a", "b", "c"].map(limited));
    // The same key for all requests: the picker would pick one endpoint for all.
    macro_rules! check {
        ($picker:expr) => {{
            let mut balance = Balance::with_picker(list(), $picker);
            let mut running = Vec::new();
            for _ in 0..3 {
                running.push(tokio::spawn(balance.ready().await.unwrap().call(7)));
            }
            let full = tokio::time::timeout(Duration::from_secs(60), balance.ready()).await;
            assert!(full.is_err(), "all are at their limit");
            gate.add_permits(1);
            balance.ready().await.unwrap();
            gate.add_permits(2);
            let mut names = BTreeSet::new();
            for response in running {
                names.insert(response.await.unwrap().unwrap());
            }
            assert_eq!(Vec::from_iter(names), ["a", "b", "c"]);
        }};
    }
    check!(RingHash::by(key));
    check!(MaglevHash::by(key));
    check!(LeastLoaded::of_all());
    check!(RoundRobin::new());
}

#[tokio::test(start_paused = true)]
async fn a_removed_endpoint_completes_its_requests() {
    let gate = Arc::new(Semaphore::new(0));
    let (changes, discover) = channel(4);
    let balance = Balance::with_picker(discover, RingHash::by(key));
    let service = Buffer::new(balance, 8);
    let measured = |name| PendingRequests::new(gated(name, &gate), CompleteOnResponse::default());
    assert!(changes.insert("old", measured("old")).await.is_ok());
    let running = tokio::spawn(service.clone().oneshot(1));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(changes.remove("old").await.is_ok());
    assert!(changes.insert("new", measured("new")).await.is_ok());
    tokio::time::sleep(Duration::from_secs(1)).await;
    // Only the request holds the old endpoint's reference to the gate now; the other two are the test's and the new endpoint's.
    assert_eq!(Arc::strong_count(&gate), 3);
    gate.add_permits(1);
    assert_eq!(running.await.unwrap().unwrap(), "old");
    gate.add_permits(1);
    assert_eq!(service.oneshot(1).await.unwrap(), "new");
    assert_eq!(Arc::strong_count(&gate), 2);
}

#[tokio::test(start_paused = true)]
async fn changes_are_processed_without_requests() {
    let gate = Arc::new(Semaphore::new(0));
    let (changes, discover) = channel(1);
    let _service = Buffer::new(Balance::with_picker(discover, MaglevHash::by(key)), 8);
    let all = async {
        for round in 0..50 {
            let endpoint = PendingRequests::new(gated("x", &gate), CompleteOnResponse::default());
            assert!(changes.insert(round % 5, endpoint).await.is_ok());
            if round % 3 == 0 {
                assert!(changes.remove(round % 5).await.is_ok());
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(1), all)
        .await
        .expect("the changes are received");
}
