//! Faults of HTTP.
#![cfg(feature = "http")]

use std::convert::Infallible;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tokio::time::Instant;
use tower_fault::error::Injected;
use tower_fault::http::{FaultBody, HttpFaultLayer};
use tower_fault::{BoxError, Plan, Switch};
use tower_layer::Layer;
use tower_util::{ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

type Answer = Response<FaultBody<Full<&'static [u8]>>>;

async fn send(layer: &HttpFaultLayer, header: Option<(&str, &str)>) -> Answer {
    let service = layer.layer(service_fn(async |_: Request<()>| {
        Ok::<_, Infallible>(Response::new(Full::new(&b"0123456789"[..])))
    }));
    let mut request = Request::builder();
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    service.oneshot(request.body(()).unwrap()).await.unwrap()
}

/// Returns what was received, and whether that was all.
async fn read(answer: Answer) -> (Vec<u8>, Result<(), BoxError>) {
    let (mut body, mut received) = (answer.into_body(), Vec::new());
    loop {
        let ended = body.is_end_stream();
        let Some(frame) = body.frame().await else {
            return (received, Ok(()));
        };
        assert!(!ended, "a frame after the end");
        match frame {
            Ok(frame) => received.extend(frame.into_data().unwrap()),
            Err(error) => {
                assert!(body.is_end_stream());
                assert!(body.frame().await.is_none());
                return (received, Err(error));
            }
        }
    }
}

fn no_faults() -> HttpFaultLayer {
    HttpFaultLayer::new(Plan::new())
}

#[tokio::test(start_paused = true)]
async fn a_share_of_the_responses_has_the_status() {
    let layer = HttpFaultLayer::new(Plan::new().fail(0.5).unwrap()).status(StatusCode::BAD_GATEWAY);
    let layer = layer.seed(7);
    let mut failed = 0;
    for _ in 0..100 {
        let answer = send(&layer, None).await;
        if answer.status() == StatusCode::BAD_GATEWAY {
            assert!(read(answer).await.0.is_empty());
            failed += 1;
        } else {
            assert_eq!(read(answer).await.0, b"0123456789");
        }
    }
    assert!((35..65).contains(&failed), "{failed}");
}

#[tokio::test(start_paused = true)]
async fn a_body_breaks_off_after_the_bytes() {
    for bytes in [0, 1, 9] {
        let layer = no_faults().abort_bodies(1.0, bytes).unwrap();
        let answer = send(&layer, None).await;
        assert_eq!(answer.body().size_hint().exact(), Some(10));
        let (received, result) = read(answer).await;
        assert_eq!(received.len() as u64, bytes);
        assert!(result.unwrap_err().is::<Injected>());
    }
    for bytes in [10, 11, u64::MAX] {
        let layer = no_faults().abort_bodies(1.0, bytes).unwrap();
        let (received, result) = read(send(&layer, None).await).await;
        assert!(received.len() == 10 && result.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn headers_are_ignored_unless_they_are_enabled() {
    let layer = no_faults();
    for name in ["x-fault-status", "x-fault-delay-ms", "x-fault-body-bytes"] {
        let began = Instant::now();
        let answer = send(&layer, Some((name, "500"))).await;
        assert_eq!(
            (answer.status(), began.elapsed()),
            (StatusCode::OK, Duration::ZERO)
        );
        assert!(read(answer).await.1.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn headers_ask_for_each_fault() {
    let layer = no_faults().by_header(SECOND);
    let answer = send(&layer, Some(("x-fault-status", "418"))).await;
    assert_eq!(answer.status(), StatusCode::IM_A_TEAPOT);

    let (received, result) = read(send(&layer, Some(("x-fault-body-bytes", "3"))).await).await;
    assert!(received == b"012" && result.is_err());

    for (asked, expected) in [("20", SECOND / 50), ("5000", SECOND)] {
        let began = Instant::now();
        send(&layer, Some(("x-fault-delay-ms", asked))).await;
        assert_eq!(began.elapsed(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn the_switch_is_for_headers_as_well() {
    let layer = no_faults().by_header(SECOND).switch(Switch::off());
    let answer = send(&layer, Some(("x-fault-status", "418"))).await;
    assert_eq!(answer.status(), StatusCode::OK);
}
