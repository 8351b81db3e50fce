//! Which requests the measurements count, and until when.

use std::time::Duration;

use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower_classify::{BoxError, Class, Failure, FailureKind, Pushback};
use tower_load::{
    CompleteOnResponse, Constant, Load, PeakEwma, PendingRequests, TrackCompletion, peak_ewma,
    pending_requests,
};
use tower_service::Service;
use tower_test::mock;

type Mock = mock::Mock<&'static str, &'static str>;

const SECOND_NS: f64 = 1e9;

fn ready<S: Service<&'static str>>(service: &mut S) {
    let mut poll = task::spawn(());
    assert!(matches!(
        poll.enter(|cx, _| service.poll_ready(cx)),
        std::task::Poll::Ready(Ok(()))
    ));
}

#[tokio::test]
async fn pending_requests_are_counted_until_they_succeed_fail_or_are_dropped() {
    let (service, mut handle) = mock::pair::<&'static str, &'static str>();
    let mut service: PendingRequests<Mock> =
        PendingRequests::new(service, CompleteOnResponse::default());
    assert_eq!(service.load().get(), 0);

    let mut calls = Vec::new();
    for _ in 0..3 {
        ready(&mut service);
        calls.push(task::spawn(service.call("request")));
    }
    assert_eq!(service.load().get(), 3);

    handle
        .next_request()
        .await
        .unwrap()
        .1
        .send_response("answer");
    assert_ready_ok!(calls[0].poll());
    assert_eq!(service.load().get(), 2);
    handle.next_request().await.unwrap().1.send_error("failure");
    assert_ready_err!(calls[1].poll());
    assert_eq!(service.load().get(), 1);
    calls.clear();
    assert_eq!(service.load().get(), 0);
}

/// Keeps the handle in the response.
#[derive(Clone)]
struct InResponse;

impl<V> TrackCompletion<pending_requests::Handle, V> for InResponse {
    type Output = (V, pending_requests::Handle);

    fn track_completion(&self, handle: pending_requests::Handle, value: V) -> Self::Output {
        (value, handle)
    }
}

#[tokio::test]
async fn a_request_can_count_until_its_response_is_dropped() {
    let (service, mut handle) = mock::pair::<&'static str, &'static str>();
    let mut service = PendingRequests::new(service, InResponse);
    ready(&mut service);
    let mut call = task::spawn(service.call("request"));
    handle
        .next_request()
        .await
        .unwrap()
        .1
        .send_response("answer");
    let response = assert_ready_ok!(call.poll());
    drop(call);
    assert_eq!(service.load().get(), 1);
    drop(response);
    assert_eq!(service.load().get(), 0);
}

#[tokio::test(start_paused = true)]
async fn peak_ewma_rises_with_latency_immediately_and_decays() {
    let (service, mut handle) = mock::pair::<&'static str, &'static str>();
    let default = Duration::from_millis(10);
    let mut slow = PeakEwma::new(service, default, SECOND_NS, CompleteOnResponse::default());
    let (idle, _handle) = mock::pair::<&'static str, &'static str>();
    let fresh: PeakEwma<Mock> =
        PeakEwma::new(idle, default, SECOND_NS, CompleteOnResponse::default());
    assert_eq!(slow.load(), fresh.load());

    ready(&mut slow);
    let mut call = task::spawn(slow.call("request"));
    assert!(slow.load() > fresh.load(), "a request in flight counts");
    tokio::time::advance(Duration::from_millis(500)).await;
    assert_pending!(call.poll());
    handle
        .next_request()
        .await
        .unwrap()
        .1
        .send_response("answer");
    assert_ready_ok!(call.poll());

    let peak = slow.load();
    assert!(
        peak > fresh.load(),
        "half a second is more than the default"
    );
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(slow.load() < peak);
}

#[tokio::test(start_paused = true)]
async fn peak_ewma_accepts_any_decay() {
    for decay in [f64::NAN, f64::INFINITY, f64::MAX, -1.0, 0.0] {
        let (service, _handle) = mock::pair::<&'static str, &'static str>();
        let service: PeakEwma<Mock> =
            PeakEwma::new(service, Duration::MAX, decay, CompleteOnResponse::default());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(service.load() <= service.load());
    }
}

/// Keeps the handle in the response, like a body whose end shows the result.
#[derive(Clone)]
struct InBody;

impl<V> TrackCompletion<peak_ewma::Handle, V> for InBody {
    type Output = (V, peak_ewma::Handle);

    fn track_completion(&self, handle: peak_ewma::Handle, value: V) -> Self::Output {
        (value, handle)
    }
}

fn rejections(result: Result<&&str, &BoxError>) -> Class {
    let rejected = Failure::new(FailureKind::Overloaded);
    let after = Pushback::After(Duration::from_secs(30));
    match result {
        Ok(&"rejected") => Class::Failure(rejected),
        Ok(&"later") => Class::Failure(rejected.with_pushback(Some(after))),
        _ => Class::Success,
    }
}

/// The class of the response counts when the request is complete, unless a class was set later.
#[tokio::test(start_paused = true)]
async fn peak_ewma_uses_the_class_of_the_response() {
    let second = Duration::from_secs(1);
    // The response, the class that is set at its end, and the load before and after that, in seconds.
    for (response, end, before, after) in [
        ("answer", None, 2.0, 1.0),
        ("rejected", None, 2.0, 2.0),
        ("later", None, 2.0, 3e7),
        ("answer", Some(Class::Unsent), 2.0, 2.0),
        ("rejected", Some(Class::Success), 2.0, 1.0),
    ] {
        let (service, mut handle) = mock::pair::<&'static str, &'static str>();
        let mut service = PeakEwma::new(service, second, 1e10, InBody).classify(rejections);
        ready(&mut service);
        let mut call = task::spawn(service.call("request"));
        let (_, send) = handle.next_request().await.unwrap();
        send.send_response(response);
        let (_, mut request) = assert_ready_ok!(call.poll());
        let load = |service: &PeakEwma<_, _, _>| f64::from(service.load()) / SECOND_NS;
        assert!((load(&service) / before - 1.0).abs() < 0.1, "{response}");
        if let Some(class) = end {
            request.set_class(class);
        }
        drop(request);
        assert!((load(&service) / after - 1.0).abs() < 0.1, "{response}");
    }
}

#[test]
fn a_constant_does_not_change() {
    let (service, _handle) = mock::pair::<&'static str, &'static str>();
    let mut service: Constant<Mock, u8> = Constant::new(service, 7);
    ready(&mut service);
    let call = service.call("request");
    assert_eq!(service.load(), 7);
    drop(call);
}
