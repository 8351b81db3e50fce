//! An axum server that rejects excess requests: `cargo run -p example-rate-limited-server`, then
//! `for i in 1 2 3 4; do curl -i http://127.0.0.1:3000/; done`.

use std::time::Duration;

use axum::error_handling::HandleErrorLayer;
use axum::http::StatusCode;
use axum::{Router, routing::get};
use tower::limit::GlobalRateLimitLayer;
use tower::load_shed::error::Overloaded;
use tower::timeout::error::Elapsed;
use tower::{BoxError, ServiceBuilder};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let layers = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(answer))
        .load_shed() // responds with 503 while the limit below would make the client wait
        .layer(GlobalRateLimitLayer::new(2, Duration::from_secs(1))) // one limit for all connections
        .timeout(Duration::from_secs(5));
    let router = Router::new()
        .route("/", get(async || "hello\n"))
        .layer(layers);

    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!(
        "http://{}/ serves two requests per second",
        listener.local_addr()?
    );
    let interrupted = async { drop(tokio::signal::ctrl_c().await) };
    axum::serve(listener, router)
        .with_graceful_shutdown(interrupted)
        .await
}

/// Converts the error of a layer into a response, as axum requires, by the type of the error.
async fn answer(error: BoxError) -> (StatusCode, String) {
    let status = if error.is::<Overloaded>() {
        StatusCode::SERVICE_UNAVAILABLE
    } else if error.is::<Elapsed>() {
        StatusCode::GATEWAY_TIMEOUT
    } else {
        StatusCode::INTERNAL_SERVER_ERROR
    };
    (status, format!("{error}\n"))
}
