//! No layer uses a service whose readiness has failed: it is neither polled nor called again.
//!
//! The services here fail a given number of times, and count polls and calls after that as violations.
#![cfg(feature = "full")]

use std::convert::Infallible;
use std::future::{Ready, pending, poll_fn, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::Either as Answer;
use futures::{StreamExt, stream};
use tokio::time::Instant;
use tower::balance::p2c::Balance;
use tower::balance::picker::{
    LeastLoaded, MaglevHash, P2c, Picker, Random, RingHash, RoundRobin, WeightedRoundRobin,
};
use tower::breaker::admission::AdmissionLayer;
use tower::breaker::keyed::KeyedCircuitBreakerLayer;
use tower::breaker::policy::{BreakerPolicy, NackAdmission};
use tower::breaker::{CircuitBreaker, CircuitBreakerLayer};
use tower::buffer::fail_fast::FailFast;
use tower::buffer::{Buffer, error::ServiceError};
use tower::discover::{Change, channel};
use tower::filter::{AsyncFilter, Filter};
use tower::health::policy::SlowStart;
use tower::health::{EndpointStates, ErrorIsFailure, Health, HealthExt};
use tower::hedge::{Hedge, HedgeLayer};
use tower::limit::{ConcurrencyLimit, RateLimit, rate::Rate};
use tower::load::{CompleteOnResponse, PeakEwma, PendingRequests, Weighted};
use tower::load_shed::LoadShed;
use tower::ready_cache::ReadyCache;
use tower::reconnect::Reconnect;
use tower::retry::backoff::ExponentialBackoffMaker;
use tower::retry::backoff::Schedule;
use tower::retry::budget::TpsBudget;
use tower::retry::{Retry, RetryPolicy};
use tower::spawn_ready::{Lost, SpawnReady};
use tower::steer::Steer;
use tower::timeout::{Deadline, EnforceDeadline, Timeout, TimeoutBy};
use tower::util::rng::HasherRng;
use tower::util::{BoxCloneService, BoxService, Either, MapErr, Optional, UnsyncBoxService};
use tower::{BoxError, Layer, MakeService, Service, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

/// The counters that all services of a test share.
#[derive(Clone, Default)]
struct World(Arc<Counts>);

#[derive(Default)]
struct Counts {
    /// The number of requests or polls of readiness that fail.
    failures: AtomicUsize,
    /// The number of polls of readiness that are pending before.
    pending: AtomicUsize,
    /// The number of requests that receive no response.
    silent: AtomicUsize,
    polls: AtomicUsize,
    violations: AtomicUsize,
}

const ORDER: Ordering = Ordering::SeqCst;

fn take(counter: &AtomicUsize) -> bool {
    counter
        .fetch_update(ORDER, ORDER, |left| left.checked_sub(1))
        .is_ok()
}

impl World {
    fn failing(failures: usize) -> Self {
        let world = Self::default();
        world.fail(failures);
        world
    }

    fn fail(&self, times: usize) {
        self.0.failures.store(times, ORDER);
    }

    fn service(&self) -> Fragile {
        Fragile {
            world: self.clone(),
            failed: false,
        }
    }

    fn polls(&self) -> usize {
        self.0.polls.load(ORDER)
    }

    #[track_caller]
    fn check(&self) {
        assert_eq!(
            self.0.failures.load(ORDER),
            0,
            "not all failures have happened"
        );
        assert_eq!(
            self.0.violations.load(ORDER),
            0,
            "used after its readiness failed"
        );
    }
}

/// A service that must not be used after its readiness failed. A clone has not failed.
struct Fragile {
    world: World,
    failed: bool,
}

impl Clone for Fragile {
    fn clone(&self) -> Self {
        self.world.service()
    }
}

impl Fragile {
    fn violated(&self) {
        if self.failed {
            self.world.0.violations.fetch_add(1, ORDER);
        }
    }
}

impl Service<u32> for Fragile {
    type Response = u32;
    type Error = BoxError;
    type Future = Answer<Ready<Result<u32, BoxError>>, std::future::Pending<Result<u32, BoxError>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.violated();
        self.world.0.polls.fetch_add(1, ORDER);
        if take(&self.world.0.pending) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if !self.failed && take(&self.world.0.failures) {
            self.failed = true;
            return Poll::Ready(Err("not ready".into()));
        }
        match self.failed {
            true => Poll::Pending,
            false => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, request: u32) -> Self::Future {
        self.violated();
        if take(&self.world.0.silent) {
            return Answer::Right(pending());
        }
        Answer::Left(ready(match take(&self.world.0.failures) {
            true => Err("broken".into()),
            false => Ok(request),
        }))
    }
}

/// Retries immediately.
fn retry<S>(service: S) -> Retry<RetryPolicy, S> {
    let policy = RetryPolicy::builder().attempts(9);
    Retry::new(policy.backoff(Schedule::none()).build(), service)
}

async fn in_time<F: Future>(future: F) -> F::Output {
    let in_time = tokio::time::timeout(3600 * SECOND, future).await;
    in_time.expect("does not wait forever")
}

/// The layer `wrap` forwards an error, does not poll the failed service again, and its clone works below a retry.
#[track_caller]
fn forwards_errors<S>(wrap: impl Fn(Fragile) -> S) -> impl Future<Output = ()>
where
    S: Service<u32, Response = u32, Error: Into<BoxError>> + Clone,
{
    let at = std::panic::Location::caller();
    async move {
        let world = World::failing(1);
        let mut service = wrap(world.service());
        let error = in_time(poll_fn(|cx| service.poll_ready(cx))).await;
        assert!(error.is_err(), "{at}");
        assert_eq!(world.polls(), 1, "{at}");
        drop(service);
        world.check();

        let service = MapErr::new(wrap(world.service()), Into::into);
        let mut service = retry(service);
        in_time(service.ready()).await.unwrap();
        // The request fails, and then the readiness of two clones.
        world.fail(3);
        assert_eq!(in_time(service.call(7)).await.unwrap(), 7, "{at}");
        world.check();
    }
}

fn never() -> BreakerPolicy {
    BreakerPolicy::never()
}

#[tokio::test(start_paused = true)]
async fn errors_are_forwarded_and_clones_work() {
    forwards_errors(|inner| inner).await;
    forwards_errors(retry).await;
    forwards_errors(|inner| Timeout::new(inner, SECOND)).await;
    forwards_errors(|inner| TimeoutBy::new(inner, |_: &u32| Some(SECOND))).await;
    forwards_errors(|inner| {
        EnforceDeadline::new(inner, |_: &u32| {
            Some(Deadline::after(Instant::now(), SECOND))
        })
    })
    .await;
    forwards_errors(|inner| ConcurrencyLimit::new(inner, 1)).await;
    forwards_errors(|inner| RateLimit::new(inner, Rate::new(100, SECOND))).await;
    forwards_errors(LoadShed::new).await;
    forwards_errors(|inner| CircuitBreaker::new(inner, never())).await;
    forwards_errors(|inner| {
        let layer = CircuitBreakerLayer::new(never());
        layer.wait_while_open().layer(inner)
    })
    .await;
    forwards_errors(|inner| KeyedCircuitBreakerLayer::new(never(), 9, |n: &u32| *n).layer(inner))
        .await;
    forwards_errors(|inner| AdmissionLayer::new(NackAdmission::new()).layer(inner)).await;
    forwards_errors(|inner| FailFast::new(inner, SECOND)).await;
    forwards_errors(|inner| Filter::new(inner, |n: u32| Ok::<_, BoxError>(n))).await;
    forwards_errors(|inner| AsyncFilter::new(inner, async |n: u32| Ok::<_, BoxError>(n))).await;
    forwards_errors(|inner| {
        AsyncFilter::new(inner, async |n: u32| {
            tokio::time::sleep(SECOND).await;
            Ok::<_, BoxError>(n)
        })
    })
    .await;
    forwards_errors(|inner| inner.map_request(|n: u32| n)).await;
    forwards_errors(|inner| inner.map_response(|n: u32| n)).await;
    forwards_errors(|inner| inner.map_err(|error: BoxError| error)).await;
    forwards_errors(|inner| inner.map_result(|result: Result<u32, BoxError>| result)).await;
    forwards_errors(|inner| inner.map_future(|future| future)).await;
    forwards_errors(|inner| inner.and_then(async |n| Ok::<_, BoxError>(n))).await;
    forwards_errors(|inner| inner.then(async |result: Result<u32, BoxError>| result)).await;
    forwards_errors(|inner| Optional::new::<u32>(Some(inner))).await;
    forwards_errors(Either::<_, Fragile>::Left).await;
    forwards_errors(BoxCloneService::new).await;
    forwards_errors(|inner| {
        tower::ext::WrapExt::<u32>::boxed_clone_sync(inner.map_future(SyncAnswer))
    })
    .await;
    forwards_errors(|inner| Hedge::new::<u32>(inner, Twice, 10, 0.9, SECOND)).await;
    forwards_errors(|inner| Steer::new([inner], |_: &u32, _: &[_]| 0)).await;
}

/// Wraps a future, for `map_future`.
struct SyncAnswer<F>(F);

impl<F: Future + Unpin> Future for SyncAnswer<F> {
    type Output = F::Output;

    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        std::pin::Pin::new(&mut self.0).poll(cx)
    }
}

/// Every request may be sent twice.
#[derive(Clone)]
struct Twice;

impl tower::hedge::Policy<u32> for Twice {
    fn clone_request(&self, request: &u32) -> Option<u32> {
        Some(*request)
    }

    fn can_retry(&self, _: &u32) -> bool {
        true
    }
}

#[tokio::test(start_paused = true)]
async fn errors_are_forwarded_by_services_that_are_not_clone() {
    async fn once(mut service: impl Service<u32, Error: Into<BoxError>>, world: &World) {
        let polled = in_time(poll_fn(|cx| service.poll_ready(cx))).await;
        assert!(polled.is_err());
        drop(service);
        world.check();
    }
    let world = World::failing(1);
    once(BoxService::new(world.service()), &world).await;
    world.fail(1);
    once(UnsyncBoxService::new(world.service()), &world).await;
    world.fail(1);
    let completion = CompleteOnResponse::default();
    once(PendingRequests::new(world.service(), completion), &world).await;
    world.fail(1);
    once(
        PeakEwma::new(world.service(), SECOND, 1e9, completion),
        &world,
    )
    .await;
    world.fail(1);
    once(Weighted::new(world.service(), 1), &world).await;
    world.fail(1);
    let mut inner = world.service();
    once(&mut inner, &world).await;
    world.fail(1);
    let mut make = Makes(world.service());
    once(MakeService::<u32, u32>::as_service(&mut make), &world).await;
    world.fail(1);
    once(MakeService::<u32, u32>::into_service(make.clone()), &world).await;
}

/// Creates clones of a service, and is ready when the service is.
#[derive(Clone)]
struct Makes(Fragile);

impl Service<u32> for Makes {
    type Response = Fragile;
    type Error = BoxError;
    type Future = Ready<Result<Fragile, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, _: u32) -> Self::Future {
        self.0.violated();
        ready(Ok(self.0.clone()))
    }
}

#[tokio::test(start_paused = true)]
async fn futures_that_wait_for_readiness_end_with_its_error() {
    let world = World::failing(1);
    in_time(world.service().oneshot(1)).await.unwrap_err();
    world.fail(1);
    let mut service = world.service();
    assert!(in_time(service.ready()).await.is_err());
    world.fail(1);
    assert!(in_time(world.service().ready_oneshot()).await.is_err());
    world.check();
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_requests_ends_with_an_error_of_readiness() {
    let world = World::failing(1);
    let results = world.service().call_all(stream::iter(0..9));
    assert_eq!(in_time(results.collect::<Vec<_>>()).await.len(), 1);
    world.fail(1);
    let results = world.service().call_all(stream::iter(0..9)).unordered();
    assert_eq!(in_time(results.collect::<Vec<_>>()).await.len(), 1);
    world.check();
}

/// Each of several services is polled once. A failed one is not polled again while the others become ready.
#[tokio::test(start_paused = true)]
async fn a_failed_service_is_not_polled_again_with_the_others() {
    let world = World::failing(3);
    let services: [_; 3] = std::array::from_fn(|_| world.service());
    let mut steer = Steer::new(services, |_: &u32, _: &[_]| 0);
    assert!(
        in_time(poll_fn(|cx| Service::<u32>::poll_ready(&mut steer, cx)))
            .await
            .is_err()
    );
    assert_eq!(world.polls(), 3);
    world.check();
}

#[tokio::test(start_paused = true)]
async fn a_failure_in_the_background_or_before_is_reported_as_lost() {
    for pending in [0, 1, 2] {
        let world = World::failing(1);
        world.0.pending.store(pending, ORDER);
        let mut service = SpawnReady::new(world.service());
        let mut error = in_time(poll_fn(|cx| service.poll_ready(cx)))
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), "not ready");
        for _ in 0..3 {
            error = in_time(poll_fn(|cx| service.poll_ready(cx)))
                .await
                .unwrap_err();
        }
        assert!(error.is::<Lost>());
        world.check();
    }
}

/// The backoff applies whether the maker or the service that it created has failed.
#[tokio::test(start_paused = true)]
async fn a_connection_is_created_by_a_fresh_clone_of_the_maker() {
    let backoff = ExponentialBackoffMaker::new(SECOND, 9 * SECOND, 0.0, HasherRng::new()).unwrap();
    for failures in 1..9 {
        let world = World::failing(failures);
        let make = Makes(world.service());
        let mut service = Reconnect::with_backoff(make, 0, backoff.clone());
        let ready = poll_fn(|cx| Service::<u32>::poll_ready(&mut service, cx));
        in_time(ready).await.unwrap();
        world.check();
        // The service that was created, and its maker.
        world.fail(failures);
        let ready = poll_fn(|cx| Service::<u32>::poll_ready(&mut service, cx));
        in_time(ready).await.unwrap();
        world.check();
        assert!(world.polls() < 40, "{}", world.polls());
    }
    let world = World::failing(1);
    let mut service = Reconnect::new(Makes(world.service()), 0);
    let mut poll =
        async || in_time(poll_fn(|cx| Service::<u32>::poll_ready(&mut service, cx))).await;
    poll().await.unwrap_err();
    world.check();
}

#[tokio::test(start_paused = true)]
async fn a_buffer_is_closed_by_an_error_of_readiness() {
    for pending in [0, 1, 2] {
        let world = World::failing(1);
        world.0.pending.store(pending, ORDER);
        let buffer = Buffer::new(FailFast::new(world.service(), SECOND), 4);
        for _ in 0..9 {
            let error = in_time(buffer.clone().oneshot(1)).await.unwrap_err();
            assert!(error.is::<ServiceError>());
        }
        tokio::task::yield_now().await;
        world.check();
        assert_eq!(world.polls(), pending + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn each_hedge_uses_its_own_service() {
    let world = World::default();
    let layer = HedgeLayer::builder()
        .when(|_: &u32| true)
        .delay(SECOND)
        .attempts(5)
        .budget(Arc::new(TpsBudget::new(10 * SECOND, 10, 1.0)))
        .build()
        .unwrap();
    let mut service = layer.layer(world.service());
    in_time(service.ready()).await.unwrap();
    // The first never responds; of the others, three fail in `poll_ready`.
    world.0.silent.store(1, ORDER);
    let response = service.call(7);
    world.fail(3);
    assert_eq!(in_time(response).await.unwrap(), 7);
    world.check();
}

type Endpoint = PendingRequests<Fragile>;
type Endpoints = ReadyCache<u32, Endpoint, u32>;

fn endpoint(world: &World) -> Endpoint {
    PendingRequests::new(world.service(), CompleteOnResponse::default())
}

/// Endpoints fail between the requests, and are added again.
async fn balances<P: Picker<Endpoints, u32>>(picker: P) {
    let (changes, discover) = channel(64);
    let world = World::default();
    let mut balance = Balance::with_picker(discover, picker);
    for round in 0..50 {
        for key in 0..3 {
            changes.insert(key, endpoint(&world)).await.unwrap();
        }
        let service = in_time(balance.ready()).await.unwrap();
        assert_eq!(in_time(service.call(round)).await.unwrap(), round);
        // The endpoint that was called is polled first.
        world.fail(1);
        in_time(balance.ready()).await.unwrap();
        world.check();
        changes.remove(round % 3).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_balancer_drops_endpoints_that_fail_to_become_ready() {
    balances(P2c::new()).await;
    balances(LeastLoaded::of_all()).await;
    balances(RoundRobin::new()).await;
    balances(WeightedRoundRobin::new()).await;
    balances(Random::new()).await;
    balances(RingHash::by(|n: &u32| Some(u64::from(*n)))).await;
    balances(MaglevHash::by(|n: &u32| Some(u64::from(*n)))).await;
}

#[tokio::test(start_paused = true)]
async fn a_balancer_drops_failed_endpoints_with_health_wrappers() -> Result<(), BoxError> {
    let (changes, discover) = channel(64);
    let world = World::default();
    let states = EndpointStates::new(Health::new());
    let discover = discover
        .share_health(states.health().clone())
        .eject_outliers(Default::default(), ErrorIsFailure)?
        .accrue_failures(Default::default(), ErrorIsFailure)?
        .slow_start(SlowStart::new(SECOND))
        .observe(states);
    let mut balance = Balance::new(discover);
    for round in 0..50 {
        for key in 0..3_u32 {
            let endpoint = endpoint(&world);
            changes
                .send(Change::Insert(key, endpoint))
                .await
                .ok()
                .unwrap();
        }
        let service = in_time(balance.ready()).await?;
        assert_eq!(in_time(service.call(round)).await?, round);
        world.fail(2);
        in_time(balance.ready()).await?;
        world.check();
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_ready_cache_drops_services_that_fail_to_become_ready() {
    let world = World::failing(2);
    let mut cache = ReadyCache::<_, _, u32>::default();
    for key in 0..4 {
        cache.push(key, world.service());
    }
    let mut failed = 0;
    let mut cx = Context::from_waker(futures::task::noop_waker_ref());
    while let Poll::Ready(Err(_)) | Poll::Pending = cache.poll_pending(&mut cx) {
        failed += 1;
    }
    assert_eq!((failed, cache.ready_len(), cache.len()), (2, 2, 2));
    world.fail(1);
    assert!(cache.check_ready_index(&mut cx, 0).is_err());
    assert!(cache.check_ready_index(&mut cx, 0).is_ok());
    assert_eq!(cache.len(), 1);
    world.check();
}

/// `MakeBalance` is a service like others.
#[tokio::test(start_paused = true)]
async fn make_balance_forwards_errors() {
    let failures = AtomicUsize::new(1);
    let make = service_fn(|replicas: u32| {
        let found = (0..replicas)
            .map(|key| Ok::<_, Infallible>(Change::Insert(key, endpoint(&World::default()))));
        let found = stream::iter(found.collect::<Vec<_>>());
        ready(match take(&failures) {
            true => Err("no such name"),
            false => Ok(found),
        })
    });
    let make = tower::balance::p2c::MakeBalance::<_, u32>::new(make);
    assert!(make.clone().oneshot(3).await.is_err());
    let balance = make.oneshot(3).await.unwrap();
    assert_eq!(in_time(balance.oneshot(7)).await.unwrap(), 7);
}
