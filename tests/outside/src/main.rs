//! Our layers around the registry's axum and hyper-util, without an adapter: a server with a rate limit, and a client
//! that balances over two such servers.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::error_handling::HandleErrorLayer;
use axum::http::{Request, StatusCode};
use axum::{Router, routing::get};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tower_balance::p2c::Balance;
use tower_buffer::{BoxError, Buffer};
use tower_discover::ServiceList;
use tower_limit::{ConcurrencyLimitLayer, RateLimitLayer};
use tower_load::{CompleteOnResponse, PendingRequests};
use tower_timeout::{Timeout, TimeoutLayer};
use tower_util::ServiceExt;

async fn server(name: &'static str) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new()
        .route("/", get(move || async move { name }))
        .layer((
            HandleErrorLayer::new(|error: BoxError| async move {
                (StatusCode::SERVICE_UNAVAILABLE, error.to_string())
            }),
            TimeoutLayer::new(Duration::from_secs(5)),
            ConcurrencyLimitLayer::new(10),
            RateLimitLayer::new(1000, Duration::from_secs(1)),
        ));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build_http();
    let mut endpoints = Vec::new();
    for name in ["a", "b"] {
        let address = server(name).await;
        let endpoint = client
            .clone()
            .map_request(move |mut request: Request<Body>| {
                *request.uri_mut() = format!("http://{address}{}", request.uri().path())
                    .parse()
                    .unwrap();
                request
            });
        endpoints.push(PendingRequests::new(
            endpoint,
            CompleteOnResponse::default(),
        ));
    }
    let balance = Balance::new(ServiceList::new::<Request<Body>>(endpoints));
    let service = Timeout::new(Buffer::new(balance, 16), Duration::from_secs(5));

    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let response = service
            .clone()
            .oneshot(Request::get("/").body(Body::empty()).unwrap())
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        seen.insert(response.into_body().collect().await.unwrap().to_bytes());
    }
    assert_eq!(seen.len(), 2, "both servers answered");
    println!("outside: 100 requests through axum and hyper-util");
}
