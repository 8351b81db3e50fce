//! Errors of layers, as a caller sees them.
#![cfg(feature = "full")]

use std::future::pending;
use std::time::Duration;

use tower::classify::{
    Class, Failure, FailureKind, LayerErrors, Pushback, Refusal, RefusalKind, refusal,
};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt};

const MS: Duration = Duration::from_millis(1);

fn kinds(error: &BoxError) -> (Option<RefusalKind>, Class) {
    let refusal = refusal(error.as_ref()).map(|refusal| refusal.kind());
    (refusal, LayerErrors::class(error.as_ref()))
}

async fn hang((): ()) -> Result<(), BoxError> {
    pending().await
}

#[tokio::test(start_paused = true)]
async fn each_refusal_differs_from_errors_of_the_service() {
    let timeout = ServiceBuilder::new().timeout(MS).service_fn(hang);
    assert_eq!(
        kinds(&timeout.oneshot(()).await.unwrap_err()),
        (
            Some(RefusalKind::Elapsed),
            Class::failure(FailureKind::Timeout)
        )
    );

    let mut limited = ServiceBuilder::new()
        .load_shed()
        .concurrency_limit(1)
        .service_fn(hang);
    let _in_flight = limited.ready().await.unwrap().call(());
    assert_eq!(
        kinds(&limited.oneshot(()).await.unwrap_err()),
        (
            Some(RefusalKind::Overloaded),
            Class::failure(FailureKind::Overloaded)
        )
    );

    let error = BoxError::from("the service's own");
    assert_eq!(
        kinds(&error),
        (None, Class::failure(FailureKind::Disconnected))
    );
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_refuses_says_when_to_come_back() {
    use tower::limit::{ConcurrencyLimitLayer, RateLimitLayer};

    let mut rate = ServiceBuilder::new()
        .layer(RateLimitLayer::new(1, MS).shed())
        .service_fn(hang);
    let _in_flight = rate.ready().await.unwrap().call(());
    let error = rate.oneshot(()).await.unwrap_err();
    let expected = Refusal::new(RefusalKind::RateLimited).with_retry_after(MS);
    assert_eq!(refusal(error.as_ref()), Some(expected));

    let mut concurrency = ServiceBuilder::new()
        .layer(ConcurrencyLimitLayer::new(1).max_wait(MS))
        .service_fn(hang);
    let _in_flight = concurrency.ready().await.unwrap().call(());
    let error = concurrency.oneshot(()).await.unwrap_err();
    assert_eq!(
        refusal(error.as_ref()),
        Some(Refusal::new(RefusalKind::Overloaded))
    );

    let permits = tower::limit::keyed::KeyPermits::new(1, 1);
    let held = permits.take("client").unwrap();
    let mut keyed = ServiceBuilder::new()
        .keyed_limit(permits, |(): &()| "client")
        .service_fn(hang);
    let error = keyed.ready().await.unwrap().call(()).await.unwrap_err();
    assert_eq!(
        refusal(error.as_ref()),
        Some(Refusal::new(RefusalKind::RateLimited))
    );
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn an_executor_whose_queue_is_full_is_overloaded() {
    let layer = tower::executor::ExecutorLayer::new(tokio::runtime::Handle::current());
    let mut service = ServiceBuilder::new()
        .layer(layer.max_tasks(1, 0).unwrap())
        .service_fn(hang);
    let _in_flight = service.ready().await.unwrap().call(());
    assert_eq!(
        kinds(&service.oneshot(()).await.unwrap_err()),
        (
            Some(RefusalKind::Overloaded),
            Class::failure(FailureKind::Overloaded)
        )
    );
}

#[tokio::test(start_paused = true)]
async fn a_buffer_whose_service_failed_is_closed() {
    struct Broken;

    impl Service<()> for Broken {
        type Response = ();
        type Error = BoxError;
        type Future = std::future::Ready<Result<(), BoxError>>;

        fn poll_ready(
            &mut self,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), BoxError>> {
            std::task::Poll::Ready(Err("no endpoints".into()))
        }

        fn call(&mut self, (): ()) -> Self::Future {
            unreachable!("it is never ready")
        }
    }

    let buffer = ServiceBuilder::new().buffer(1).service(Broken);
    assert_eq!(
        kinds(&buffer.oneshot(()).await.unwrap_err()),
        (
            Some(RefusalKind::Closed),
            Class::failure(FailureKind::Unavailable)
        )
    );
}

#[test]
fn a_custom_layer_can_return_a_refusal_with_a_retry_after() {
    let mine = Refusal::new(RefusalKind::RateLimited).with_retry_after(MS);
    let error = BoxError::from(mine);
    assert_eq!(refusal(error.as_ref()), Some(mine));
    let failure = Failure::new(FailureKind::Overloaded);
    let pushback = Some(Pushback::After(MS));
    assert_eq!(
        LayerErrors::class(error.as_ref()),
        Class::Failure(failure.with_pushback(pushback))
    );
}

#[tokio::test(start_paused = true)]
async fn a_balancer_without_endpoints_returns_a_refusal() {
    let none: [tower::load::Constant<tower::util::BoxService<(), (), BoxError>, u32>; 0] = [];
    let balance = tower::balance::p2c::Balance::new(tower::discover::ServiceList::new::<()>(none));
    let error = balance.oneshot(()).await.unwrap_err();
    assert_eq!(
        kinds(&error),
        (
            Some(RefusalKind::NoEndpoints),
            Class::failure(FailureKind::Unavailable)
        )
    );
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_returns_a_refusal_that_says_when_to_come_back() {
    use tower::breaker::policy::{BreakerPolicy, Throttle};

    let fail = |()| std::future::ready(Err::<(), _>(BoxError::from("down")));
    let policy = BreakerPolicy::never().consecutive_failures(1);
    let service = ServiceBuilder::new()
        .circuit_breaker(policy)
        .service_fn(fail);
    service.clone().oneshot(()).await.unwrap_err();
    let error = service.oneshot(()).await.unwrap_err();
    let open = refusal(error.as_ref()).unwrap();
    assert_eq!(open.kind(), RefusalKind::BreakerOpen);
    let after = open.retry_after().unwrap();
    assert!((5000 * MS..=10_000 * MS).contains(&after));
    let failure = Failure::new(FailureKind::Unavailable);
    assert_eq!(
        LayerErrors::class(error.as_ref()),
        Class::Failure(failure.with_pushback(Some(Pushback::After(after))))
    );

    let service = ServiceBuilder::new()
        .admission(Throttle::new())
        .service_fn(fail);
    loop {
        let error = service.clone().oneshot(()).await.unwrap_err();
        if let Some(refusal) = refusal(error.as_ref()) {
            assert_eq!(refusal.kind(), RefusalKind::Throttled);
            // Another attempt would add to the overload.
            let failure = Failure::new(FailureKind::Overloaded).transient(false);
            assert_eq!(refusal.class(), Class::Failure(failure));
            break;
        }
    }
}
