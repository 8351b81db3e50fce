//! Stacks can be built and called in a spawned `async` block, whose future must be `Send`.
//!
//! In such a block the compiler erases the lifetimes in the types of values that are held across an await, including that of a
//! `BoxError`, and then cannot prove `Into<BoxError>` for it (rust-lang/rust#64552). So the types of our services and futures
//! must not have an error that they convert among their parameters.
#![cfg(feature = "full")]

use std::convert::Infallible;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::StreamExt;
use tokio::time::Instant;
use tower::balance::p2c::Balance;
use tower::balance::picker::RoundRobin;
use tower::breaker::CircuitBreaker;
use tower::breaker::admission::ThrottleLayer;
use tower::breaker::keyed::KeyedCircuitBreakerLayer;
use tower::breaker::policy::BreakerPolicy;
use tower::buffer::Buffer;
use tower::buffer::fail_fast::FailFast;
use tower::cache::coalesce::CoalesceLayer;
use tower::cache::{Cache, Store};
use tower::discover::ServiceList;
use tower::executor::Executor;
use tower::fallback::FallbackLayer;
use tower::fault::{FaultLayer, Plan};
use tower::filter::{AsyncFilter, Filter};
use tower::health::policy::SlowStart;
use tower::health::{EndpointStates, ErrorIsFailure, Health, HealthExt};
use tower::hedge::HedgeLayer;
use tower::limit::{ConcurrencyLimit, RateLimit, rate::Rate};
use tower::load::{CompleteOnResponse, PendingRequests};
use tower::load_shed::LoadShed;
use tower::reconnect::Reconnect;
use tower::retry::backoff::ExponentialBackoffMaker;
use tower::retry::{Retry, RetryPolicy};
use tower::spawn_ready::SpawnReady;
use tower::steer::Steer;
use tower::timeout::{Deadline, EnforceDeadline, Timeout, TimeoutBy};
use tower::util::{BoxCloneService, BoxService, Optional};
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

async fn boxed(n: u32) -> Result<u32, BoxError> {
    Ok(n)
}

async fn plain(n: u32) -> Result<u32, Infallible> {
    Ok(n)
}

fn as_it_is(result: Result<u32, BoxError>) -> Result<u32, BoxError> {
    result
}

fn never(_: &u32, _: Result<&u32, &BoxError>) -> bool {
    false
}

async fn connect((): ()) -> Result<tower::util::ServiceFn<fn(u32) -> Echo>, BoxError> {
    Ok(service_fn(|n| std::future::ready(Ok(n))))
}

type Echo = std::future::Ready<Result<u32, BoxError>>;

/// In a spawned block: builds a service from each of two endpoints, and sends it requests.
macro_rules! spawns {
    ($($name:ident: |$inner:ident| $stack:expr;)*) => {$(
        #[tokio::test(start_paused = true)]
        async fn $name() {
            let answer = tokio::spawn(async {
                let $inner = service_fn(boxed);
                $stack.oneshot(7).await
            });
            assert_eq!(answer.await.unwrap().unwrap(), 7);
            let answer = tokio::spawn(async {
                let $inner = service_fn(boxed);
                let mut service = $stack;
                let _ = service.ready().await.map(|_| ())?;
                service.call(7).await
            });
            assert_eq!(answer.await.unwrap().unwrap(), 7);
            let answer = tokio::spawn(async {
                let $inner = service_fn(plain);
                $stack.oneshot(7).await
            });
            assert_eq!(answer.await.unwrap().unwrap(), 7);
            let answer = tokio::spawn(async {
                let $inner = service_fn(boxed);
                Buffer::new($stack, 8).oneshot(7).await
            });
            assert_eq!(answer.await.unwrap().unwrap(), 7);
        }
    )*};
}

spawns! {
    a_bare_one: |inner| inner;
    a_timeout: |inner| Timeout::new(inner, SECOND);
    a_timeout_by: |inner| TimeoutBy::new(inner, |_: &u32| Some(SECOND));
    a_deadline: |inner| EnforceDeadline::new(inner, |_: &u32| Some(Deadline::after(Instant::now(), SECOND)));
    a_concurrency_limit: |inner| ConcurrencyLimit::new(inner, 1);
    a_rate_limit: |inner| RateLimit::new(inner, Rate::new(9, SECOND));
    load_shed: |inner| LoadShed::new(inner);
    fail_fast: |inner| FailFast::new(inner, SECOND);
    a_filter: |inner| Filter::new(inner, |n: u32| Ok::<_, Infallible>(n));
    an_async_filter: |inner| AsyncFilter::new(inner, |n: u32| std::future::ready(Ok::<_, Infallible>(n)));
    an_optional_one: |inner| Optional::new::<u32>(Some(inner));
    a_retry: |inner| Retry::new(RetryPolicy::builder().build(), inner);
    a_hedge: |inner| HedgeLayer::builder().when(|_: &u32| true).delay(SECOND).build().unwrap().layer(inner);
    a_circuit_breaker: |inner| CircuitBreaker::new(inner, BreakerPolicy::standard());
    a_breaker_for_each_key: |inner| KeyedCircuitBreakerLayer::new(BreakerPolicy::standard(), 9, |n: &u32| *n).layer(inner);
    admission_control: |inner| ThrottleLayer::default().layer(inner);
    faults: |inner| FaultLayer::new(Plan::new()).layer(inner);
    an_executor: |inner| Executor::new(inner, tokio::runtime::Handle::current());
    a_fallback: |inner| FallbackLayer::value(7).layer(inner);
    a_fallback_service: |inner| FallbackLayer::service(service_fn(boxed)).layer(inner);
    a_cache: |inner| Cache::new(inner, Store::new(9, SECOND), |n: &u32| Some(*n));
    coalescing: |inner| CoalesceLayer::new(9, |n: &u32| Some(*n)).layer(inner);
    a_steer: |inner| Steer::new([inner], |_: &u32, _: &[_]| 0);
    a_buffer: |inner| Buffer::new(inner, 8);
    a_balancer: |inner| Balance::new(ServiceList::new::<u32>([measured(inner)]));
    a_balancer_in_turn: |inner| Balance::builder(ServiceList::new::<u32>([measured(inner)])).pick(RoundRobin::new()).build();
    a_balancer_with_health: |inner| {
        let states = EndpointStates::new(Health::new());
        let endpoints = ServiceList::new::<u32>([measured(inner)])
            .eject_outliers(Default::default(), ErrorIsFailure)
            .unwrap()
            .accrue_failures(Default::default(), ErrorIsFailure)
            .unwrap()
            .slow_start(SlowStart::new(SECOND))
            .observe(states);
        Balance::new(endpoints)
    };
    a_stack: |inner| ServiceBuilder::new()
        .load_shed()
        .buffer(8)
        .concurrency_limit(8)
        .timeout(SECOND)
        .service(inner);
    a_stack_above_a_balancer: |inner| ServiceBuilder::new()
        .timeout(SECOND)
        .concurrency_limit(8)
        .buffer(8)
        .layer(tower::buffer::fail_fast::FailFastLayer::new(SECOND))
        .service(Balance::new(ServiceList::new::<u32>([measured(inner)])));
}

#[tokio::test(start_paused = true)]
async fn functions_of_the_result() {
    let answer = tokio::spawn(async {
        let service = service_fn(boxed)
            .map_result(as_it_is)
            .then(then)
            .and_then(boxed);
        let policy = RetryPolicy::builder().retry_if(never).build();
        Retry::new(policy, service).oneshot(7).await
    });
    assert_eq!(answer.await.unwrap().unwrap(), 7);
}

async fn then(result: Result<u32, BoxError>) -> Result<u32, BoxError> {
    result
}

#[tokio::test(start_paused = true)]
async fn spawn_ready() {
    let answer = tokio::spawn(async { SpawnReady::new(service_fn(boxed)).oneshot(7).await });
    assert_eq!(answer.await.unwrap().unwrap(), 7);
}

/// With closures, whose types contain the error, a function with a declared return type is needed.
#[tokio::test(start_paused = true)]
async fn a_stack_returned_by_a_function() {
    fn stack() -> impl Service<u32, Response = u32, Error = BoxError, Future: Send> + Send {
        let endpoint = service_fn(|n: u32| async move { Ok::<_, BoxError>(n) });
        let balance = Balance::new(ServiceList::new::<u32>([measured(endpoint)]));
        let balance = SpawnReady::new(balance).map_err(|error: BoxError| error);
        Timeout::new(Buffer::new(BoxService::new(balance), 8), SECOND)
    }
    let answer = tokio::spawn(async {
        let mut service = stack();
        service.ready().await?.call(7).await
    });
    assert_eq!(answer.await.unwrap().unwrap(), 7);
    let answer = tokio::spawn(async { stack().oneshot(7).await });
    assert_eq!(answer.await.unwrap().unwrap(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_box() {
    let answer = tokio::spawn(async {
        let first = BoxService::new(service_fn(boxed)).oneshot(7).await?;
        BoxCloneService::new(service_fn(boxed)).oneshot(first).await
    });
    assert_eq!(answer.await.unwrap().unwrap(), 7);
}

fn measured<S>(service: S) -> PendingRequests<S> {
    PendingRequests::new(service, CompleteOnResponse::default())
}

#[tokio::test(start_paused = true)]
async fn a_reconnect() {
    let answer = tokio::spawn(async {
        let service = Reconnect::with_backoff(
            service_fn(|()| Box::pin(connect(()))),
            (),
            ExponentialBackoffMaker::default(),
        );
        service.oneshot(7).await
    });
    assert_eq!(answer.await.unwrap().unwrap(), 7);
    let answer = tokio::spawn(async {
        let make = service_fn(|()| Box::pin(connect(())));
        Reconnect::new(make, ()).oneshot(7).await
    });
    assert_eq!(answer.await.unwrap().unwrap(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_requests() {
    let answers = tokio::spawn(async {
        let service = Timeout::new(service_fn(boxed), SECOND);
        let answers = service.call_all(futures::stream::iter([7, 7]));
        answers.collect::<Vec<_>>().await
    });
    assert_eq!(answers.await.unwrap().len(), 2);
}

/// A service whose futures are boxed: their type has a lifetime, and its parameters may contain an error.
macro_rules! boxed_futures {
    ($($name:ident: $error:ty;)*) => {$(
        #[tokio::test]
        async fn $name() {
            fn echo(n: u32) -> BoxFuture<'static, Result<u32, $error>> {
                Box::pin(async move { Ok(n) })
            }
            let answer = tokio::spawn(async { Buffer::new(service_fn(echo), 1).oneshot(7).await });
            assert_eq!(answer.await.unwrap().unwrap(), 7);
            let answer = tokio::spawn(async {
                let mut service = Buffer::new(BoxService::new(service_fn(echo)), 1);
                let _ = service.ready().await.map(|_| ())?;
                service.call(7).await
            });
            assert_eq!(answer.await.unwrap().unwrap(), 7);
        }
    )*};
}

boxed_futures! {
    a_buffer_of_boxed_futures: Infallible;
    a_buffer_of_boxed_futures_with_boxed_errors: BoxError;
}
