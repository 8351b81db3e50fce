//! Readiness, cancellation and types of the combinators.
#![cfg(feature = "util")]

use std::convert::Infallible;
use std::future::{Ready, poll_fn, ready};
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{StreamExt, stream};
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task};
use tower_layer::Layer;
use tower_service::Service;
use tower_test::mock::{self, Mock, Spawn};
use tower_util::{
    BoxCloneService, BoxCloneServiceLayer, BoxCloneSyncService, BoxCloneSyncServiceLayer, BoxLayer,
    BoxService, CallAll, Either, MapRequestLayer, ServiceExt, UnsyncBoxService, error,
    future_service, option_layer, service_fn,
};

fn increment(n: u32) -> Ready<Result<u32, Infallible>> {
    ready(Ok(n + 1))
}

#[tokio::test]
async fn boxed_services_have_the_documented_auto_traits() {
    fn send<T: Send>(service: T) -> T {
        service
    }
    fn sync<T: Sync>(service: T) -> T {
        service
    }
    let service = service_fn(increment);
    assert_eq!(sync(send(BoxService::new(service))).oneshot(1).await, Ok(2));
    assert_eq!(
        send(BoxCloneService::new(service)).clone().oneshot(1).await,
        Ok(2)
    );
    assert_eq!(
        sync(send(BoxCloneSyncService::new(service)))
            .clone()
            .oneshot(1)
            .await,
        Ok(2)
    );
    let local = std::rc::Rc::new(1);
    let unsync = UnsyncBoxService::new(service_fn(move |n: u32| {
        ready(Ok::<_, Infallible>(n + *local))
    }));
    assert_eq!(unsync.oneshot(1).await, Ok(2));

    let ten_times = MapRequestLayer::new(|n: u32| n * 10);
    assert_eq!(
        BoxLayer::new(ten_times)
            .clone()
            .layer(service)
            .oneshot(1)
            .await,
        Ok(11)
    );
    assert_eq!(
        BoxCloneServiceLayer::new(ten_times)
            .layer(service)
            .clone()
            .oneshot(1)
            .await,
        Ok(11)
    );
    assert_eq!(
        BoxCloneSyncServiceLayer::new(ten_times)
            .layer(service)
            .clone()
            .oneshot(1)
            .await,
        Ok(11)
    );
}

#[tokio::test]
async fn an_optional_layer_may_be_absent() {
    for (layer, expected) in [(Some(MapRequestLayer::new(|n: u32| n * 10)), 11), (None, 2)] {
        let service: Either<_, _> = option_layer(layer).layer(service_fn(increment));
        assert_eq!(service.oneshot(1).await, Ok(expected));
    }
}

#[test]
fn errors_of_readiness_are_mapped_as_well() {
    let (mut service, mut handle) =
        mock::spawn_with(|inner: Mock<(), ()>| inner.map_err(|error| error.to_string().len()));
    handle.send_error("four");
    assert_eq!(assert_ready_err!(service.poll_ready()), 4);
}

#[test]
fn a_oneshot_waits_for_readiness_and_is_cancelled_when_dropped() {
    let (service, mut handle) = mock::pair::<&str, &str>();
    handle.allow(0);
    let mut response = task::spawn(service.oneshot("ping"));
    assert_pending!(response.poll());
    handle.allow(1);
    assert!(response.is_woken());
    assert_pending!(response.poll());
    let (request, send) = assert_ready!(handle.poll_request()).unwrap();
    assert_eq!(request, "ping");
    drop(response);
    assert!(send.is_cancelled());
}

#[test]
fn call_all_keeps_the_order_and_continues_after_an_error() {
    let (service, mut handle) = mock::pair::<u32, u32>();
    let mut results = task::spawn(service.call_all(stream::iter([1, 2, 3])));
    assert_pending!(results.poll_next());
    let mut sends: Vec<_> = (0..3)
        .map(|_| assert_ready!(handle.poll_request()).unwrap().1)
        .collect();
    sends.pop().unwrap().send_response(30);
    assert_pending!(results.poll_next());
    sends.pop().unwrap().send_error("no");
    sends.pop().unwrap().send_response(10);
    assert_eq!(assert_ready!(results.poll_next()).unwrap().unwrap(), 10);
    assert_eq!(
        assert_ready!(results.poll_next())
            .unwrap()
            .unwrap_err()
            .to_string(),
        "no"
    );
    assert_eq!(assert_ready!(results.poll_next()).unwrap().unwrap(), 30);
    assert!(assert_ready!(results.poll_next()).is_none());
}

#[test]
fn call_all_unordered_yields_responses_as_they_arrive() {
    let (service, mut handle) = mock::pair::<u32, u32>();
    let mut results = task::spawn(service.call_all(stream::iter([1, 2])).unordered());
    assert_pending!(results.poll_next());
    let (_first, second) = (
        handle.poll_request(),
        assert_ready!(handle.poll_request()).unwrap().1,
    );
    second.send_response(20);
    assert_eq!(assert_ready!(results.poll_next()).unwrap().unwrap(), 20);
}

/// C27: tower 0.5 does not limit the number of in-flight requests.
#[test]
fn call_all_is_bounded() {
    for (limit, most) in [(None, 1 << 16), (Some(3), 3)] {
        let (calls, endless) = (AtomicUsize::new(0), stream::repeat(()));
        let service = service_fn(|()| {
            calls.fetch_add(1, Ordering::Relaxed);
            std::future::pending::<Result<(), Infallible>>()
        });
        let all = CallAll::new(service, endless);
        let mut results = task::spawn(match limit {
            Some(limit) => all.max_in_flight(limit),
            None => all,
        });
        assert_pending!(results.poll_next());
        drop(results);
        assert_eq!(calls.into_inner(), most);
    }
}

#[tokio::test]
async fn an_absent_service_is_an_error_of_the_request() {
    let mut service = tower_util::Optional::new::<u32>(Some(service_fn(increment)));
    assert_eq!(service.clone().oneshot(1).await.unwrap(), 2);
    assert!(service.take().is_some());
    poll_fn(|cx| Service::<u32>::poll_ready(&mut service, cx))
        .await
        .unwrap();
    assert!(
        service
            .call(1)
            .await
            .unwrap_err()
            .is::<error::optional::None>()
    );
}

#[tokio::test]
async fn requests_are_streamed_to_a_borrowed_service() {
    let mut service = service_fn(increment);
    let results: Vec<_> = (&mut service).call_all(stream::iter(0..3)).collect().await;
    assert_eq!(results, [Ok(1), Ok(2), Ok(3)]);
    assert_ready_ok!(Spawn::new(service).poll_ready());
}

type Refused = Ready<Result<Echo, &'static str>>;
type Echo = tower_util::ServiceFn<fn(u32) -> Ready<Result<u32, &'static str>>>;

#[test]
fn a_failed_future_repeats_its_error_if_configured() {
    let refused: Refused = ready(Err("refused"));
    let mut service = Spawn::new(future_service(refused).repeat_error());
    for _ in 0..3 {
        assert_eq!(assert_ready_err!(service.poll_ready()), "refused");
    }
}

/// Most errors are not `Clone`. Panicking, as in tower 0.5, is better than staying pending forever.
#[test]
#[should_panic(expected = "polled again after its future has failed")]
fn polling_a_failed_future_again_panics() {
    let refused: Refused = ready(Err("refused"));
    let mut service = Spawn::new(future_service(refused));
    assert_eq!(assert_ready_err!(service.poll_ready()), "refused");
    let _ = service.poll_ready();
}
