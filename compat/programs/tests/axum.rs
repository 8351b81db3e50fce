//! An axum server with layers and error handling, and a reqwest client.

use std::sync::Arc;
use std::time::Duration;

use axum::error_handling::HandleErrorLayer;
use axum::extract::Path;
use axum::routing::get;
use axum::{BoxError, Router};
use http::StatusCode;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tower::ServiceBuilder;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::load_shed::error::Overloaded;
use tower::timeout::error::Elapsed;

async fn on_error(error: BoxError) -> (StatusCode, String) {
    if error.is::<Elapsed>() {
        (StatusCode::GATEWAY_TIMEOUT, "too slow".into())
    } else if error.is::<Overloaded>() {
        (StatusCode::SERVICE_UNAVAILABLE, "too much".into())
    } else {
        (StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

/// Starts the server, and returns its address. The route `/gated` responds when it gets a permit.
async fn server(gate: Arc<Semaphore>) -> String {
    let limited = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(on_error))
        .load_shed()
        .layer(GlobalConcurrencyLimitLayer::new(2))
        .timeout(Duration::from_millis(200));
    let gated = async move || {
        gate.acquire().await.unwrap().forget();
        "opened"
    };
    let app = Router::new()
        .route(
            "/hello/{name}",
            get(async |Path(name): Path<String>| format!("hello, {name}")),
        )
        .route(
            "/never",
            get(async || std::future::pending::<String>().await),
        )
        .route("/gated", get(gated))
        .layer(limited)
        .route("/free", get(async || "free"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    format!("http://{address}")
}

async fn fetch(url: String) -> (StatusCode, String) {
    let response = reqwest::get(url).await.unwrap();
    (response.status(), response.text().await.unwrap())
}

#[tokio::test]
async fn routes_answer_through_the_layers() {
    let url = server(Arc::new(Semaphore::new(0))).await;
    assert_eq!(
        fetch(format!("{url}/hello/axum")).await,
        (StatusCode::OK, "hello, axum".into())
    );
    assert_eq!(
        fetch(format!("{url}/nowhere")).await.0,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_timeout_reaches_the_error_handler() {
    let url = server(Arc::new(Semaphore::new(0))).await;
    assert_eq!(
        fetch(format!("{url}/never")).await,
        (StatusCode::GATEWAY_TIMEOUT, "too slow".into())
    );
}

#[tokio::test]
async fn excess_requests_are_shed_across_all_connections() {
    let gate = Arc::new(Semaphore::new(0));
    let url = server(gate.clone()).await;
    let held = [0, 1].map(|_| tokio::spawn(fetch(format!("{url}/gated"))));
    // Both hold a permit of the limit when a third request is rejected.
    while fetch(format!("{url}/hello/axum")).await.0 != StatusCode::SERVICE_UNAVAILABLE {}
    assert_eq!(fetch(format!("{url}/free")).await.1, "free", "has no limit");
    gate.add_permits(2);
    for held in held {
        assert_eq!(held.await.unwrap(), (StatusCode::OK, "opened".into()));
    }
    assert_eq!(fetch(format!("{url}/hello/axum")).await.0, StatusCode::OK);
}

/// The layers of a router are applied once per connection, so a limit is per connection unless it is global.
#[tokio::test]
async fn a_rate_limit_is_per_connection_unless_it_is_global() {
    async fn answered(layers: impl Fn(Router) -> Router) -> usize {
        let app = layers(Router::new().route("/", get(async || "hello")));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let mut answered = 0;
        for _ in 0..6 {
            // Each client has its own connection.
            let (status, _) = fetch(format!("http://{address}/")).await;
            answered += usize::from(status == StatusCode::OK);
        }
        server.abort();
        answered
    }
    let hour = Duration::from_secs(3600);
    let builder = || {
        ServiceBuilder::new()
            .layer(HandleErrorLayer::new(on_error))
            .load_shed()
    };
    assert_eq!(
        answered(|app| app.layer(builder().rate_limit(3, hour))).await,
        6
    );
    let limited = builder().global_rate_limit(3, hour);
    assert_eq!(answered(|app| app.layer(limited.clone())).await, 3);
}
