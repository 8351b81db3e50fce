//! Deadlines in headers, and timeouts of bodies.
#![cfg(feature = "http")]

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::channel::mpsc;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use proptest::prelude::*;
use tokio::time::{Instant, sleep};
use tokio_test::{assert_pending, assert_ready, task};
use tower_layer::Layer;
use tower_timeout::Deadline;
use tower_timeout::error::DeadlineExceeded;
use tower_timeout::http::{
    AcceptDeadlineLayer, BodyTimedOut, BodyTimeoutLayer, ForwardDeadlineLayer, InvalidTimeout,
    Pulse, TimeoutBody,
};
use tower_util::{BoxError, ServiceExt, service_fn};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn request(header: Option<(&str, &str)>) -> Request<()> {
    let mut request = Request::post("/");
    if let Some((name, value)) = header {
        request = request.header(name, value);
        if name == "grpc-timeout" {
            request = request.header("content-type", "application/grpc+proto");
        }
    }
    request.body(()).unwrap()
}

/// Returns the time that a request has left below this layer.
async fn accepted(
    layer: AcceptDeadlineLayer,
    request: Request<()>,
) -> Result<Option<Duration>, BoxError> {
    let service = service_fn(async |request: Request<()>| {
        let deadline = request.extensions().get::<Deadline>();
        Ok::<_, BoxError>(deadline.map(|deadline| deadline.remaining(Instant::now())))
    });
    layer.layer(service).oneshot(request).await
}

#[tokio::test(start_paused = true)]
async fn the_deadline_is_that_of_the_headers_within_the_maximum() {
    let plain = AcceptDeadlineLayer::new;
    let milliseconds = Some(("x-request-timeout-ms", "1500"));
    let left = async |layer, header| accepted(layer, request(header)).await.unwrap();
    assert_eq!(left(plain(), None).await, None);
    assert_eq!(left(plain(), milliseconds).await, Some(1500 * MS));
    assert_eq!(
        left(plain(), Some(("grpc-timeout", "2S"))).await,
        Some(2 * SECOND)
    );
    assert_eq!(left(plain().max(SECOND), milliseconds).await, Some(SECOND));
    assert_eq!(left(plain().max(SECOND), None).await, Some(SECOND));
    let grpc = Some(("grpc-timeout", "2S"));
    assert_eq!(left(plain().max(SECOND), grpc).await, Some(SECOND));
    let unbounded = || plain().max(SECOND).grpc_max(None);
    assert_eq!(left(unbounded(), grpc).await, Some(2 * SECOND));
    assert_eq!(left(unbounded(), milliseconds).await, Some(SECOND));
    let bounded = plain().grpc_max(Some(SECOND));
    assert_eq!(left(bounded.clone(), grpc).await, Some(SECOND));
    assert_eq!(left(bounded, milliseconds).await, Some(1500 * MS));
    assert_eq!(
        left(plain().default_timeout(5 * SECOND), None).await,
        Some(5 * SECOND)
    );
    assert_eq!(
        left(plain().default_timeout(5 * SECOND), milliseconds).await,
        Some(1500 * MS)
    );
    let envoys = HeaderName::from_static("x-envoy-upstream-rq-timeout-ms");
    let header = Some(("x-envoy-upstream-rq-timeout-ms", "7"));
    assert_eq!(left(plain().header(envoys), header).await, Some(7 * MS));
    // The header for HTTP requests is ignored for gRPC calls, and vice versa.
    let mut both = request(Some(("grpc-timeout", "2S")));
    both.headers_mut()
        .insert("x-request-timeout-ms", "1".parse().unwrap());
    assert_eq!(accepted(plain(), both).await.unwrap(), Some(2 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_grpc_web_call_has_the_timeout_of_a_grpc_call() {
    let mut call = request(Some(("grpc-timeout", "2S")));
    let content_type = HeaderValue::from_static("application/grpc-web-text+proto");
    call.headers_mut().insert("content-type", content_type);
    let layer = AcceptDeadlineLayer::new().max(SECOND).grpc_max(None);
    assert_eq!(accepted(layer, call).await.unwrap(), Some(2 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn the_earlier_of_two_deadlines_applies() {
    for (own, expected) in [(1000, 1000), (3000, 2000)] {
        let mut request = request(Some(("grpc-timeout", "2S")));
        request
            .extensions_mut()
            .insert(Deadline::after(Instant::now(), own * MS));
        assert_eq!(
            accepted(AcceptDeadlineLayer::new(), request).await.unwrap(),
            Some(expected * MS)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_invalid_header_is_rejected_or_ignored() {
    for (name, value) in [
        ("x-request-timeout-ms", "soon"),
        ("x-request-timeout-ms", ""),
        ("x-request-timeout-ms", "-5"),
        ("x-request-timeout-ms", "1.5"),
        ("grpc-timeout", "123456789n"),
        ("grpc-timeout", "1"),
    ] {
        let error = accepted(AcceptDeadlineLayer::new(), request(Some((name, value))))
            .await
            .unwrap_err();
        let error = error.downcast_ref::<InvalidTimeout>().unwrap();
        assert_eq!(error.header(), name);
        let text = error.to_string();
        assert!(
            text.contains(&format!("found {value:?}, expected")),
            "{text}"
        );
        let lenient = AcceptDeadlineLayer::new()
            .ignore_invalid()
            .default_timeout(SECOND);
        let left = accepted(lenient, request(Some((name, value))))
            .await
            .unwrap();
        assert_eq!(left, Some(SECOND));
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_of_zero_fails_before_the_call() {
    for header in [("x-request-timeout-ms", "0"), ("grpc-timeout", "0n")] {
        let service =
            service_fn(async |_: Request<()>| -> Result<(), BoxError> { panic!("it was called") });
        let service = AcceptDeadlineLayer::new().layer(service);
        let error = service.oneshot(request(Some(header))).await.unwrap_err();
        assert!(error.is::<DeadlineExceeded>());
    }
}

/// Returns the header that the next hop receives for a request with this remaining time.
async fn forwarded(
    layer: ForwardDeadlineLayer,
    mut request: Request<()>,
    left: Duration,
) -> Result<String, BoxError> {
    let service = service_fn(async |request: Request<()>| {
        let headers = request.headers();
        let value = headers
            .get("grpc-timeout")
            .or_else(|| headers.get("x-request-timeout-ms"));
        Ok::<_, BoxError>(
            value
                .map(|value| value.to_str().unwrap().to_owned())
                .unwrap_or_default(),
        )
    });
    request
        .extensions_mut()
        .insert(Deadline::after(Instant::now(), left));
    layer.layer(service).oneshot(request).await
}

#[tokio::test(start_paused = true)]
async fn the_next_hop_receives_the_remaining_time_minus_the_margin() {
    let layer = ForwardDeadlineLayer::new().margin(10 * MS);
    let http = request(Some(("x-request-timeout-ms", "9999")));
    let grpc = request(Some(("grpc-timeout", "9999S")));
    assert_eq!(
        forwarded(layer.clone(), http.clone(), SECOND)
            .await
            .unwrap(),
        "990"
    );
    assert_eq!(
        forwarded(layer.clone(), grpc.clone(), SECOND)
            .await
            .unwrap(),
        "990000u"
    );
    let less_than_it_can_tell = MS / 2 + 10 * MS;
    let error = forwarded(layer.clone(), http.clone(), less_than_it_can_tell)
        .await
        .unwrap_err();
    assert!(error.is::<DeadlineExceeded>());
    for request in [http, grpc] {
        let error = forwarded(layer.clone(), request, 10 * MS)
            .await
            .unwrap_err();
        assert!(error.is::<DeadlineExceeded>());
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_deadline_is_forwarded_unchanged() {
    let service =
        service_fn(async |request: Request<()>| Ok::<_, BoxError>(request.headers().len()));
    let service = ForwardDeadlineLayer::new().layer(service);
    assert_eq!(service.oneshot(request(None)).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_shrinks_over_three_hops_and_cancels_all() {
    let held = Arc::new(());
    let alive = Arc::clone(&held);
    let last = service_fn(move |request: Request<()>| {
        let alive = Arc::clone(&alive);
        async move {
            let deadline = request.extensions().get::<Deadline>().unwrap();
            assert!(deadline.remaining(Instant::now()) <= 60 * MS);
            std::future::pending::<()>().await;
            drop(alive);
            Ok::<_, BoxError>(())
        }
    });
    let last = AcceptDeadlineLayer::new().layer(last);
    let middle = service_fn(move |request: Request<()>| {
        let next = ForwardDeadlineLayer::new().layer(last.clone());
        async move {
            sleep(40 * MS).await;
            // A new request, as a client creates it: only the deadline is copied.
            let mut onward = self::request(Some(("grpc-timeout", "1H")));
            onward.extensions_mut().extend(request.extensions().clone());
            next.oneshot(onward).await
        }
    });
    let first = AcceptDeadlineLayer::new().layer(middle);
    let start = Instant::now();
    let error = first
        .oneshot(request(Some(("grpc-timeout", "100m"))))
        .await
        .unwrap_err();
    assert!(error.is::<DeadlineExceeded>());
    assert_eq!(start.elapsed(), 100 * MS);
    assert_eq!(Arc::strong_count(&held), 1, "no hop works on it any more");
}

type Sender = mpsc::UnboundedSender<Result<Frame<Bytes>, Infallible>>;

fn body() -> (
    Sender,
    StreamBody<mpsc::UnboundedReceiver<Result<Frame<Bytes>, Infallible>>>,
) {
    let (sender, receiver) = mpsc::unbounded();
    (sender, StreamBody::new(receiver))
}

fn data(sender: &Sender) {
    sender
        .unbounded_send(Ok(Frame::data(Bytes::from("x"))))
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_body_may_be_slow_but_not_idle() {
    let (sender, body) = body();
    let mut body = TimeoutBody::new(body).idle(10 * MS);
    for _ in 0..5 {
        let later = tokio::spawn({
            let sender = sender.clone();
            async move {
                sleep(9 * MS).await;
                data(&sender);
            }
        });
        assert!(body.frame().await.unwrap().is_ok());
        later.await.unwrap();
    }
    let start = Instant::now();
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(start.elapsed(), 10 * MS);
    assert_eq!(error.downcast_ref(), Some(&BodyTimedOut::Idle(10 * MS)));
    assert!(body.is_end_stream() && body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_does_not_trip_the_idle_timeout() {
    let (sender, body) = body();
    let mut body = TimeoutBody::new(body).idle(10 * MS);
    for _ in 0..3 {
        data(&sender);
        sleep(SECOND).await;
        assert!(body.frame().await.unwrap().is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn a_whole_body_has_a_timeout() {
    let (sender, body) = body();
    let mut body = TimeoutBody::new(body).idle(10 * MS).total(25 * MS);
    let start = Instant::now();
    let feed = tokio::spawn(async move {
        loop {
            sleep(9 * MS).await;
            data(&sender);
        }
    });
    let error = loop {
        if let Err(error) = body.frame().await.unwrap() {
            break error;
        }
    };
    assert_eq!(start.elapsed(), 25 * MS);
    assert_eq!(error.downcast_ref(), Some(&BodyTimedOut::Total(25 * MS)));
    feed.abort();
}

#[tokio::test(start_paused = true)]
async fn a_task_that_waits_for_a_frame_is_woken_by_the_timeout() {
    let (_sender, body) = body();
    let mut body = TimeoutBody::new(body).idle(10 * MS);
    let mut reader = task::spawn(());
    reader.enter(|cx, _| assert_pending!(Pin::new(&mut body).poll_frame(cx)));
    sleep(11 * MS).await;
    assert!(reader.is_woken());
    reader.enter(|cx, _| {
        assert!(
            assert_ready!(Pin::new(&mut body).poll_frame(cx))
                .unwrap()
                .is_err()
        )
    });
}

#[tokio::test(start_paused = true)]
async fn bodies_of_both_directions_are_bounded() {
    let layer = BodyTimeoutLayer::new()
        .request_idle(10 * MS)
        .response_idle(20 * MS)
        .request_total(SECOND)
        .response_total(2 * SECOND);
    let echo = |request: Request<TimeoutBody<_>>| async {
        Ok::<_, Infallible>(Response::new(request.into_body()))
    };
    let service = layer.layer(service_fn(echo));
    let (sender, body) = body();
    let response = service.oneshot(Request::new(body)).await.unwrap();
    data(&sender);
    let mut body = response.into_body();
    assert!(body.frame().await.unwrap().is_ok());
    let start = Instant::now();
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(
        start.elapsed(),
        10 * MS,
        "the request's own timeout came first"
    );
    assert_eq!(error.downcast_ref(), Some(&BodyTimedOut::Idle(10 * MS)));
}

/// In a bidirectional stream one side may be silent while the other one sends.
#[tokio::test(start_paused = true)]
async fn a_body_is_not_idle_while_the_opposite_direction_is_active() {
    let pulse = Pulse::new();
    let (spoken, speaking) = body();
    let (_silence, silent) = body();
    let mut speaking = TimeoutBody::new(speaking)
        .idle(10 * MS)
        .pulse(pulse.clone());
    let mut silent = TimeoutBody::new(silent).idle(10 * MS).pulse(pulse);
    let start = Instant::now();
    let speaks = async {
        for _ in 0..10 {
            sleep(7 * MS).await;
            data(&spoken);
            assert!(speaking.frame().await.unwrap().is_ok());
        }
        speaking.frame().await.unwrap().unwrap_err();
    };
    let (_, error) = futures::join!(speaks, async { silent.frame().await.unwrap().unwrap_err() });
    assert_eq!(error.downcast_ref(), Some(&BodyTimedOut::Idle(10 * MS)));
    let idle = start.elapsed() - 70 * MS;
    assert!(10 * MS <= idle && idle <= 20 * MS, "{idle:?}");
}

/// The layer finds the pulse in the extensions of the request.
#[tokio::test(start_paused = true)]
async fn a_pulse_in_the_extensions_applies_to_the_response() {
    let silent = |_: Request<TimeoutBody<()>>| async {
        let never = futures::stream::pending::<Result<Frame<Bytes>, Infallible>>();
        Ok::<_, Infallible>(Response::new(StreamBody::new(never)))
    };
    let service = BodyTimeoutLayer::new()
        .response_idle(10 * MS)
        .layer(service_fn(silent));
    let pulse = Pulse::new();
    let (sender, uploaded) = body();
    let mut uploaded = TimeoutBody::new(uploaded).pulse(pulse.clone());
    let mut request = request(None);
    request.extensions_mut().insert(pulse);
    let mut response = service.oneshot(request).await.unwrap().into_body();
    let start = Instant::now();
    let upload = async {
        for _ in 0..5 {
            sleep(7 * MS).await;
            data(&sender);
            assert!(uploaded.frame().await.unwrap().is_ok());
        }
    };
    futures::join!(upload, async {
        response.frame().await.unwrap().unwrap_err();
    });
    assert!(start.elapsed() >= 45 * MS, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_a_grpc_call_covers_its_whole_response() {
    let stalls = |_: Request<TimeoutBody<()>>| async {
        sleep(30 * MS).await;
        let never = futures::stream::pending::<Result<Frame<Bytes>, Infallible>>();
        Ok::<_, BoxError>(Response::new(StreamBody::new(never)))
    };
    let layer = BodyTimeoutLayer::new()
        .response_total(70 * MS)
        .grpc_deadline();
    let service = AcceptDeadlineLayer::new().layer(layer.layer(service_fn(stalls)));
    for (header, expected) in [
        (("grpc-timeout", "50m"), 50),
        (("x-request-timeout-ms", "50"), 100),
    ] {
        let start = Instant::now();
        let response = service
            .clone()
            .oneshot(request(Some(header)))
            .await
            .unwrap();
        let error = response.into_body().collect().await.unwrap_err();
        assert_eq!(start.elapsed(), expected * MS);
        assert_eq!(error.is::<DeadlineExceeded>(), expected == 50);
    }
}

#[tokio::test(start_paused = true)]
async fn size_hints_and_trailers_are_those_of_the_body() {
    let whole = TimeoutBody::new(Full::new(Bytes::from("hello")))
        .idle(MS)
        .total(MS);
    assert_eq!(whole.size_hint().exact(), Some(5));
    let trailers = http::HeaderMap::from_iter([("x".parse().unwrap(), "y".parse().unwrap())]);
    let body = whole.with_trailers(std::future::ready(Some(Ok(trailers.clone()))));
    let all = TimeoutBody::new(body.boxed_unsync())
        .idle(MS)
        .collect()
        .await
        .unwrap();
    assert_eq!(all.trailers(), Some(&trailers));
    assert_eq!(all.to_bytes(), "hello");
    assert!(TimeoutBody::new(Full::new(Bytes::new())).is_end_stream());
}

#[tokio::test(start_paused = true)]
async fn dropping_a_body_drops_the_inner_body() {
    let (sender, body) = body();
    let mut body = TimeoutBody::new(body).idle(MS * 10);
    let mut reader = task::spawn(());
    reader.enter(|cx, _| assert_pending!(Pin::new(&mut body).poll_frame(cx)));
    drop(body);
    assert!(sender.is_closed());
}

/// A peer that always has a frame ready.
#[tokio::test(start_paused = true)]
async fn an_endless_body_that_is_always_ready_ends_in_time() {
    let frames = futures::stream::unfold(0_u32, |n| async move {
        // The reader takes time.
        Some((
            Ok::<_, BoxError>(Frame::data(Bytes::from_static(b"x"))),
            n + 1,
        ))
    });
    let mut body = TimeoutBody::new(StreamBody::new(Box::pin(frames))).total(1000 * MS);
    for _ in 0..100 {
        tokio::time::advance(100 * MS).await;
        if body.frame().await.unwrap().is_err() {
            return;
        }
    }
    panic!("ten times its time");
}

#[tokio::test(start_paused = true)]
async fn an_ignored_header_is_not_forwarded() {
    let service = service_fn(|r: Request<()>| async move {
        Ok::<_, BoxError>(Response::new(
            r.headers().contains_key("x-request-timeout-ms"),
        ))
    });
    let service = AcceptDeadlineLayer::new()
        .ignore_invalid()
        .layer(ForwardDeadlineLayer::new().layer(service));
    let r = Request::get("/")
        .header(
            "x-request-timeout-ms",
            HeaderValue::from_bytes(b"5\xff").unwrap(),
        )
        .body(())
        .unwrap();
    assert!(!service.oneshot(r).await.unwrap().into_body());
}

#[tokio::test(start_paused = true)]
async fn odd_values_do_not_panic() {
    let service = service_fn(|_: Request<()>| async move { Ok::<_, BoxError>(Response::new(())) });
    let service = AcceptDeadlineLayer::new()
        .max(Duration::MAX)
        .default_timeout(Duration::MAX)
        .layer(
            ForwardDeadlineLayer::new()
                .margin(Duration::MAX)
                .layer(service),
        );
    for v in [
        &b""[..],
        b"\xff",
        b"99999999999999999999999999",
        b"0",
        b" 5",
        b"+5",
    ] {
        let r = Request::get("/")
            .header("x-request-timeout-ms", HeaderValue::from_bytes(v).unwrap())
            .body(())
            .unwrap();
        let _ = service.clone().oneshot(r).await;
        let r = Request::get("/")
            .header("content-type", "application/grpc")
            .header("grpc-timeout", HeaderValue::from_bytes(v).unwrap())
            .body(())
            .unwrap();
        let _ = service.clone().oneshot(r).await;
    }
}

proptest! {
    #[test]
    fn no_header_panics(name in prop::sample::select(&["x-request-timeout-ms", "grpc-timeout"]), value in prop::collection::vec(32..=255_u8, 0..20)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            let mut request = request(None);
            request.headers_mut().insert(name, value);
            if name == "grpc-timeout" {
                request.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
            }
            let result = runtime.block_on(accepted(AcceptDeadlineLayer::new(), request));
            let refused = |error: &BoxError| error.is::<InvalidTimeout>() || error.is::<DeadlineExceeded>();
            prop_assert!(result.is_ok() || result.as_ref().is_err_and(refused));
        }
    }
}
