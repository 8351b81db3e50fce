//! A stack of tower-http's layers and ours, served over a socket.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use http::{HeaderName, Request, Response, StatusCode};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::trace::TraceLayer;
use tower_http::validate_request::ValidateRequestHeaderLayer;

async fn handle(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    assert_ne!(request.uri().path(), "/panic", "as asked for");
    assert!(request.headers().contains_key("x-request-id"));
    Ok(Response::new(Body::from("again ".repeat(1000))))
}

/// A server that converts all errors into responses.
fn service() -> impl Service<
    Request<Body>,
    Response = Response<impl http_body_util::BodyExt<Data: Send, Error: Send> + Send>,
    Error = tower::BoxError,
> + Clone {
    let id = HeaderName::from_static("x-request-id");
    ServiceBuilder::new()
        .buffer(16)
        .layer(TraceLayer::new_for_http())
        .layer(SetRequestIdLayer::new(id.clone(), MakeRequestUuid))
        .layer(PropagateRequestIdLayer::new(id))
        .layer(CompressionLayer::new())
        .layer(CatchPanicLayer::new())
        .layer(ValidateRequestHeaderLayer::accept("text/plain"))
        .load_shed()
        .concurrency_limit(8)
        .timeout(Duration::from_secs(5))
        .service(service_fn(handle))
}

fn request(path: &str) -> Request<Body> {
    Request::get(path)
        .header(ACCEPT_ENCODING, "gzip")
        .header("accept", "text/plain")
        .body(Body::empty())
        .unwrap()
}

#[tokio::test]
async fn each_layer_has_its_effect() {
    let response = service().oneshot(request("/")).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[CONTENT_ENCODING], "gzip");
    assert!(response.headers().contains_key("x-request-id"));
}

#[tokio::test]
async fn a_panic_becomes_a_response() {
    let service = service();
    for _ in 0..3 {
        let response = service.clone().oneshot(request("/panic")).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}

#[tokio::test]
async fn a_rejected_request_does_not_reach_the_service() {
    let mut request = request("/panic");
    request
        .headers_mut()
        .insert("accept", "image/png".parse().unwrap());
    let response = service().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_ACCEPTABLE);
}
