//! Draining: requests in flight complete, new ones are not accepted.

mod support;

use std::time::Duration;

use http::StatusCode;
use http_body_util::BodyExt;
use support::*;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tower_proxy::demo::Behavior;

async fn in_flight(proxy: &Proxy, count: f64) {
    eventually("requests are in flight", || async {
        metric(proxy, "tower_proxy_requests_in_flight", &[]).await == count
    })
    .await;
}

#[tokio::test]
async fn requests_in_flight_complete_and_new_connections_are_refused() {
    let slow = backend("slow", Behavior::Slow(Duration::from_millis(500))).await;
    let proxy = proxy_to("http1", &[slow]).await;
    let running: Vec<_> = (0..4)
        .map(|_| tokio::spawn(ask(proxy.address, get("/running"))))
        .collect();
    let mut http2 = http2_client(proxy.address).await;
    let mut request = get("/running");
    *request.uri_mut() = "http://test.example/running".parse().unwrap();
    let over_http2 = tokio::spawn(async move { http2.send_request(request).await.unwrap() });
    in_flight(&proxy, 5.0).await;

    proxy.trigger.trigger();
    eventually("new connections are refused", || async {
        TcpStream::connect(proxy.address).await.is_err()
    })
    .await;
    assert_eq!(ask(proxy.admin, get("/ready")).await.body(), "draining\n");
    for answer in running {
        assert_eq!(answer.await.unwrap().status(), StatusCode::OK);
    }
    let response = over_http2.await.unwrap();
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "GET /running answered by slow\n"
    );
    proxy.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn idle_connections_close_soon() {
    let proxy = proxy_to("http1", &[backend("b", Behavior::Steady).await]).await;
    let mut silent = TcpStream::connect(proxy.address).await.unwrap();
    let mut client = http1_client(proxy.address).await;
    let response = client.send_request(get("/")).await.unwrap();
    response.into_body().collect().await.unwrap();

    proxy.trigger.trigger();
    tokio::time::timeout(LIMIT, proxy.task)
        .await
        .expect("it does not wait for the default drain timeout of 30 s")
        .unwrap()
        .unwrap();
    let mut rest = Vec::new();
    let _ = silent.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
}

#[tokio::test]
async fn requests_beyond_the_drain_timeout_are_dropped() {
    let slow = backend("slow", Behavior::Slow(LIMIT * 10)).await;
    let config = format!(
        "drain_timeout = \"200ms\"\n[[routes]]\ncluster = \"c\"\ntimeout = \"off\"\n{}",
        cluster("c", "http1", &[slow])
    );
    let proxy = proxy(&config).await;
    let mut client = http1_client(proxy.address).await;
    let running = tokio::spawn(async move { client.send_request(get("/")).await });
    in_flight(&proxy, 1.0).await;
    proxy.trigger.trigger();
    tokio::time::timeout(LIMIT, proxy.task)
        .await
        .expect("drain is bounded")
        .unwrap()
        .unwrap();
    running.abort();
}
