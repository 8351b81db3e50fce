//! reqwest's client as a service below layers, and layers around its connector.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use reqwest::{Client, Method, Request};
use tokio::net::TcpListener;
use tower::limit::ConcurrencyLimitLayer;
use tower::timeout::{TimeoutLayer, error::Elapsed};
use tower::{Service, ServiceBuilder, ServiceExt};

async fn server() -> String {
    let app = Router::new().route("/", get(async || "here")).route(
        "/never",
        get(async || std::future::pending::<String>().await),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    format!("http://{address}")
}

fn get_from(url: String) -> Request {
    Request::new(Method::GET, url.parse().unwrap())
}

#[tokio::test]
async fn a_client_is_a_service() {
    let url = server().await;
    let mut service = ServiceBuilder::new()
        .concurrency_limit(4)
        .timeout(Duration::from_millis(200))
        .service(Client::new());
    let response = service
        .ready()
        .await
        .unwrap()
        .call(get_from(format!("{url}/")))
        .await
        .unwrap();
    assert_eq!(response.text().await.unwrap(), "here");
    let error = service
        .ready()
        .await
        .unwrap()
        .call(get_from(format!("{url}/never")))
        .await
        .unwrap_err();
    assert!(error.is::<Elapsed>());
}

#[tokio::test]
async fn layers_go_around_the_connector() {
    let url = server().await;
    let client = Client::builder()
        .connector_layer(ConcurrencyLimitLayer::new(1))
        .connector_layer(TimeoutLayer::new(Duration::from_secs(5)))
        .build()
        .unwrap();
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let request = client.get(&url);
        clients.spawn(async move { request.send().await.unwrap().text().await.unwrap() });
    }
    while let Some(text) = clients.join_next().await {
        assert_eq!(text.unwrap(), "here");
    }
}
