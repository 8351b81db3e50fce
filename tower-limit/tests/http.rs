//! Permits that return at the end of a body.
#![cfg(all(feature = "concurrency", feature = "rate", feature = "http"))]

use std::convert::Infallible;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures::{FutureExt, stream};
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use tower_layer::Layer;
use tower_limit::error::LimitExceeded;
use tower_limit::keyed::{KeyPermits, KeyedConcurrencyLimitLayer};
use tower_limit::weighted::WeightedConcurrencyLimitLayer;
use tower_limit::{BoxError, ConcurrencyLimitLayer, GlobalConcurrencyLimitLayer};
use tower_service::Service;
use tower_util::{BoxCloneService, ServiceExt, service_fn};

type Bytewise = BoxBody<Bytes, BoxError>;

/// Two frames, of which the second is an error for the path `/fails`; or no body for `/empty`.
async fn respond(request: Request<()>) -> Result<Response<Bytewise>, BoxError> {
    let body = match request.uri().path() {
        "/error" => return Err("broken".into()),
        "/empty" => Empty::new().map_err(Into::into).boxed(),
        "/full" => Full::from("bytes").map_err(Into::into).boxed(),
        path => {
            let second = match path {
                "/fails" => Err("broken".into()),
                _ => Ok(Frame::data(Bytes::from("second"))),
            };
            let first = Ok(Frame::data(Bytes::from("first")));
            StreamBody::new(stream::iter([first, second])).boxed()
        }
    };
    Ok(Response::new(body))
}

fn to(path: &str) -> Request<()> {
    Request::builder().uri(path).body(()).unwrap()
}

type Limited = BoxCloneService<Request<()>, Response<BoxBody<Bytes, BoxError>>, BoxError>;

/// All limits that hold a permit, with one permit.
fn limits() -> [Limited; 5] {
    let service = || service_fn(respond);
    let key = |request: &Request<()>| request.method().clone();
    let permits = KeyPermits::new(1, 10);
    [
        ConcurrencyLimitLayer::new(1)
            .shed()
            .hold_until_body_end()
            .layer(service())
            .map_response(|response| response.map(BodyExt::boxed))
            .boxed_clone(),
        GlobalConcurrencyLimitLayer::new(1)
            .max_wait(std::time::Duration::ZERO)
            .hold_until_body_end()
            .layer(service())
            .map_response(|response| response.map(BodyExt::boxed))
            .boxed_clone(),
        ConcurrencyLimitLayer::new(1)
            .hold_until_body_end()
            .layer(service())
            .map_response(|response| response.map(BodyExt::boxed))
            .boxed_clone(),
        KeyedConcurrencyLimitLayer::new(permits, key)
            .hold_until_body_end()
            .layer(service())
            .map_response(|response| response.map(BodyExt::boxed))
            .boxed_clone(),
        WeightedConcurrencyLimitLayer::new(2, |_: &Request<()>| 2)
            .shed()
            .hold_until_body_end()
            .layer(service())
            .map_response(|response| response.map(BodyExt::boxed))
            .boxed_clone(),
    ]
}

/// Whether the permit is free.
fn is_free(service: &Limited) -> bool {
    match service.clone().oneshot(to("/empty")).now_or_never() {
        Some(Ok(_)) => true,
        Some(Err(error)) => {
            assert!(error.is::<LimitExceeded>());
            false
        }
        None => false,
    }
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_held_until_the_last_frame_has_been_read() {
    for service in limits() {
        let response = service.clone().oneshot(to("/")).await.unwrap();
        assert!(!is_free(&service));
        let mut body = response.into_body();
        for expected in ["first", "second"] {
            let frame = body.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), expected);
            assert!(!is_free(&service));
        }
        assert!(body.frame().await.is_none());
        assert!(is_free(&service), "before the body is dropped");
    }
}

#[tokio::test(start_paused = true)]
async fn a_permit_returns_with_a_frame_that_is_known_to_be_the_last() {
    for service in limits() {
        let mut body = service
            .clone()
            .oneshot(to("/full"))
            .await
            .unwrap()
            .into_body();
        assert!(!is_free(&service));
        assert_eq!(body.size_hint().exact(), Some(5));
        body.frame().await.unwrap().unwrap();
        assert!(body.is_end_stream() && is_free(&service));
    }
}

#[tokio::test(start_paused = true)]
async fn a_permit_returns_when_the_body_fails() {
    for service in limits() {
        let mut body = service
            .clone()
            .oneshot(to("/fails"))
            .await
            .unwrap()
            .into_body();
        body.frame().await.unwrap().unwrap();
        assert!(!is_free(&service));
        body.frame().await.unwrap().unwrap_err();
        assert!(is_free(&service), "before the body is dropped");
    }
}

#[tokio::test(start_paused = true)]
async fn a_permit_returns_when_anything_is_dropped() {
    for service in limits() {
        let mut handle = service.clone();
        let future = handle.ready().await.unwrap().call(to("/"));
        drop(future);
        assert!(is_free(&service));
        let response = service.clone().oneshot(to("/")).await.unwrap();
        drop(response);
        assert!(is_free(&service));
        let mut body = service.clone().oneshot(to("/")).await.unwrap().into_body();
        body.frame().await.unwrap().unwrap();
        drop(body);
        assert!(is_free(&service));
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_without_a_body_or_an_error_holds_no_permit() {
    for service in limits() {
        let response = service.clone().oneshot(to("/empty")).await.unwrap();
        assert!(is_free(&service));
        drop(response);
        service.clone().oneshot(to("/error")).await.unwrap_err();
        assert!(is_free(&service));
    }
}

/// The future of a request that waits is woken by the end of the body.
#[tokio::test(start_paused = true)]
async fn the_end_of_a_body_wakes_a_waiter() {
    let service = GlobalConcurrencyLimitLayer::new(1)
        .hold_until_body_end()
        .layer(service_fn(respond));
    let response = service.clone().oneshot(to("/")).await.unwrap();
    let mut waiting = pin!(service.oneshot(to("/")));
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(waiting.as_mut().poll(cx).is_pending());
    response.into_body().collect().await.unwrap();
    assert!(matches!(waiting.as_mut().poll(cx), Poll::Ready(Ok(_))));
}

#[test]
fn a_body_that_never_fails_keeps_its_type() {
    fn infallible<B: Body<Data = Bytes, Error = Infallible>>(_: &B) {}
    let service = ConcurrencyLimitLayer::new(1)
        .hold_until_body_end()
        .layer(service_fn(async |_: ()| {
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
        }));
    let response = service.oneshot(()).now_or_never().unwrap().unwrap();
    infallible(response.body());
    assert!(response.body().get_ref().is_end_stream());
}
