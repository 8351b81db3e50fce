//! The worker of a buffer drives the services below it without requests, and they reserve nothing for that. Services that are
//! called meanwhile still reserve what they need: a maker, a health check, those that a future or a discovery uses.
#![cfg(feature = "full")]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use futures::{StreamExt, stream};
use tower::balance::p2c::Balance;
use tower::balance::picker::{P2c, RingHash};
use tower::buffer::Buffer;
use tower::discover::Change;
use tower::health::check::{CheckConfig, CheckHealth, Verdict};
use tower::limit::{ConcurrencyLimit, GlobalConcurrencyLimitLayer};
use tower::load::Constant;
use tower::reconnect::Reconnect;
use tower::retry::backoff::ExponentialBackoffMaker;
use tower::util::{FutureService, ServiceFn};
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

type Echo = ServiceFn<fn(u32) -> Ready<Result<u32, BoxError>>>;

fn echo() -> Echo {
    service_fn(|n| ready(Ok(n)))
}

type Found<S> = Result<Change<u32, S>, Infallible>;

/// Sends a request to a service that has been driven, and another one.
async fn answers<S>(service: S)
where
    S: Service<u32, Response = u32, Error: Into<BoxError> + Send + Sync, Future: Send>
        + Send
        + 'static,
{
    let buffer = Buffer::new(service, 4);
    for n in 0..4 {
        tokio::time::sleep(SECOND).await;
        assert_eq!(buffer.clone().oneshot(n).await.unwrap(), n);
    }
}

#[tokio::test(start_paused = true)]
async fn a_maker_with_a_limit() {
    let make = || ConcurrencyLimit::new(service_fn(|()| ready(Ok::<_, BoxError>(echo()))), 1);
    answers(Reconnect::new(make(), ())).await;
    let backoff = ExponentialBackoffMaker::default();
    answers(Reconnect::with_backoff(make(), (), backoff)).await;
}

/// Connections are created one at a time, and all of them, without requests.
#[tokio::test(start_paused = true)]
async fn makers_with_one_limit() {
    #[derive(Default)]
    struct Counts {
        now: AtomicUsize,
        most: AtomicUsize,
        made: AtomicUsize,
    }
    let counts: &'static Counts = Box::leak(Box::default());
    let connect = service_fn(|()| {
        Box::pin(async {
            let now = counts.now.fetch_add(1, SeqCst) + 1;
            counts.most.fetch_max(now, SeqCst);
            tokio::time::sleep(SECOND).await;
            counts.now.fetch_sub(1, SeqCst);
            counts.made.fetch_add(1, SeqCst);
            Ok::<_, BoxError>(echo())
        })
    });
    let limit = GlobalConcurrencyLimitLayer::new(1);
    let _buffers: [_; 5] = std::array::from_fn(|_| {
        let backoff = ExponentialBackoffMaker::default();
        let reconnect = Reconnect::with_backoff(limit.layer(connect), (), backoff);
        Buffer::new(reconnect, 4)
    });
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!((counts.most.load(SeqCst), counts.made.load(SeqCst)), (1, 5));
}

/// Connects by means of a service that has a limit.
#[tokio::test(start_paused = true)]
async fn a_future_that_uses_a_service_with_a_limit() {
    let make = ConcurrencyLimit::new(service_fn(|()| ready(Ok::<_, BoxError>(echo()))), 1);
    answers(FutureService::new(Box::pin(make.clone().oneshot(())))).await;
    let connect = service_fn(move |()| Box::pin(make.clone().oneshot(())));
    answers(Reconnect::new(connect, ())).await;
}

#[tokio::test(start_paused = true)]
async fn a_check_with_a_limit() {
    let check = service_fn(|_: u32| ready(Ok::<_, BoxError>(Verdict::Healthy)));
    let found = [Found::Ok(Change::Insert(1, Constant::new(echo(), 1)))];
    let found = stream::iter(found).chain(stream::pending());
    let config = CheckConfig::default().interval(SECOND / 2);
    let found = CheckHealth::new(found, config, ConcurrencyLimit::new(check, 1)).unwrap();
    answers(Balance::new(found)).await;
}

#[tokio::test(start_paused = true)]
async fn a_discovery_that_uses_a_service_with_a_limit() {
    let lookup = ConcurrencyLimit::new(service_fn(|n: u32| ready(Ok::<_, BoxError>(n))), 1);
    let found = stream::unfold((0, lookup), |(n, lookup)| async move {
        tokio::time::sleep(SECOND / 2).await;
        let key = lookup.clone().oneshot(n).await.unwrap();
        let change = Found::Ok(Change::Insert(key, Constant::new(echo(), 1)));
        Some((change, (n + 1, lookup)))
    });
    answers(Balance::new(Box::pin(found))).await;
}

/// With every picker, and with a limit per endpoint or one for all.
#[tokio::test(start_paused = true)]
async fn endpoints_with_limits() {
    macro_rules! with {
        ($limit:expr, $endpoints:expr, $picker:expr) => {{
            let limit = $limit;
            let found = (0..$endpoints).map(move |key| {
                let endpoint = Constant::new(limit(echo()), 1);
                Found::Ok(Change::Insert(key, endpoint))
            });
            let found = stream::iter(found.collect::<Vec<_>>()).chain(stream::pending());
            answers(Balance::with_picker(found, $picker)).await;
        }};
    }
    let by_key = || RingHash::by(|n: &u32| Some(u64::from(*n)));
    for endpoints in [1, 3] {
        with!(
            |inner| ConcurrencyLimit::new(inner, 1),
            endpoints,
            P2c::new()
        );
        with!(|inner| ConcurrencyLimit::new(inner, 1), endpoints, by_key());
        let limit = GlobalConcurrencyLimitLayer::new(1);
        with!(move |inner| limit.layer(inner), endpoints, P2c::new());
        let limit = GlobalConcurrencyLimitLayer::new(1);
        with!(move |inner| limit.layer(inner), endpoints, by_key());
    }
}
