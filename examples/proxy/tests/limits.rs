//! Limits on the rate of requests, and on those of each client.

mod support;

use http::{HeaderValue, Request, Response, StatusCode};
use support::*;
use tower_proxy::demo::Behavior;

/// A proxy with one route under `limits`, to a backend that responds immediately.
async fn limited(limits: &str) -> Proxy {
    let steady = backend("steady", Behavior::Steady).await;
    let cluster = cluster("c", "http1", &[steady]);
    proxy(&format!(
        "[[routes]]\ncluster = \"c\"\nlimits = {limits}\n{cluster}"
    ))
    .await
}

/// Sends requests until one is refused, which happens unless the machine takes a second for each.
async fn refused(proxy: &Proxy, request: impl Fn() -> Request<RequestBody>) -> Response<String> {
    let first = ask(proxy.address, request()).await;
    assert_eq!(first.status(), StatusCode::OK);
    assert!(!first.headers().contains_key("grpc-retry-pushback-ms"));
    for _ in 0..100 {
        let response = ask(proxy.address, request()).await;
        let is_refused = response.status() == StatusCode::TOO_MANY_REQUESTS
            || response.headers().contains_key("grpc-retry-pushback-ms");
        if is_refused {
            return response;
        }
    }
    panic!("none of 100 requests was refused");
}

#[tokio::test]
async fn requests_above_the_rate_are_429_and_say_when_to_come_back() {
    for limits in [
        "{ requests_per_second = 1 }",
        "{ per_client = { requests_per_second = 1 } }",
    ] {
        let proxy = limited(limits).await;
        let refused = refused(&proxy, || get("/")).await;
        assert_eq!(refused.body(), "too many requests\n");
        assert_eq!(refused.headers()["retry-after"], "1");
        let labels = ["route=\"/\"", "reason=\"rate_limited\""];
        let failures = metric(&proxy, "tower_proxy_failures_total", &labels).await;
        assert_eq!(failures, 1.0);
    }
}

#[tokio::test]
async fn grpc_calls_above_the_rate_are_resource_exhausted_with_pushback() {
    let proxy = limited("{ requests_per_second = 1, burst = 1 }").await;
    let refused = refused(&proxy, || {
        let mut call = post("/a.B/C", full("\0\0\0\0\0"));
        let grpc = HeaderValue::from_static("application/grpc");
        call.headers_mut().insert("content-type", grpc);
        call
    })
    .await;
    assert_eq!(refused.status(), StatusCode::OK);
    assert_eq!(refused.headers()["grpc-status"], "8");
    assert!(!refused.headers().contains_key("retry-after"));
    let pushback = refused.headers()["grpc-retry-pushback-ms"]
        .to_str()
        .unwrap();
    let pushback: u64 = pushback.parse().unwrap();
    assert!((1..=1000).contains(&pushback), "{pushback}");
}

#[tokio::test]
async fn a_burst_is_admitted_at_once() {
    let proxy = limited("{ requests_per_second = 1, burst = 20 }").await;
    for _ in 0..20 {
        assert_eq!(ask(proxy.address, get("/")).await.status(), StatusCode::OK);
    }
}

// Elsewhere, only 127.0.0.1 is an address of the machine.
#[cfg(target_os = "linux")]
mod clients {
    use std::net::SocketAddr;

    use hyper::client::conn::http1;
    use hyper_util::rt::TokioIo;
    use tokio::net::TcpSocket;

    use super::*;

    /// Sends a request from the address `from`, and returns the status.
    async fn ask_from(from: [u8; 4], to: SocketAddr) -> StatusCode {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        let io = TokioIo::new(socket.connect(to).await.unwrap());
        let (mut client, connection) = http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        client.send_request(get("/")).await.unwrap().status()
    }

    #[tokio::test]
    async fn one_client_does_not_take_the_place_of_another() {
        let gate = Gate::start().await;
        let proxy = proxy(&format!(
            "[[routes]]\ncluster = \"c\"\nlimits.per_client = {{ max_in_flight = 1 }}\n{}",
            cluster("c", "http1", &[gate.address])
        ))
        .await;
        let (one, other) = ([127, 0, 0, 1], [127, 0, 0, 2]);

        let first = tokio::spawn(ask_from(one, proxy.address));
        gate.entered(1).await;
        assert_eq!(
            ask_from(one, proxy.address).await,
            StatusCode::TOO_MANY_REQUESTS
        );
        let second = tokio::spawn(ask_from(other, proxy.address));
        gate.entered(2).await;
        gate.let_through(3);
        assert_eq!(first.await.unwrap(), StatusCode::OK);
        assert_eq!(second.await.unwrap(), StatusCode::OK);
        assert_eq!(ask_from(one, proxy.address).await, StatusCode::OK);
    }
}
