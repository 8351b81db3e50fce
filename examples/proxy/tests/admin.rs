//! The responses of the admin page.

mod support;

use http::StatusCode;
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower_proxy::demo::Behavior;

#[tokio::test]
async fn probes_metrics_and_page_respond() {
    let proxy = proxy_to("http1", &[backend("b", Behavior::Steady).await]).await;
    ready(&proxy).await;
    assert_eq!(ask(proxy.address, get("/")).await.status(), StatusCode::OK);

    assert_eq!(ask(proxy.admin, get("/live")).await.body(), "live\n");
    assert_eq!(ask(proxy.admin, get("/ready")).await.body(), "ready\n");

    let page = ask(proxy.admin, get("/")).await;
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    assert!(page.body().starts_with("<!doctype html>"));

    let route = ["route=\"/\"", "cluster=\"c\""];
    assert_eq!(
        metric(
            &proxy,
            "tower_proxy_requests_total",
            &[route[0], route[1], "class=\"2xx\""]
        )
        .await,
        1.0
    );
    assert_eq!(
        metric(&proxy, "tower_proxy_requests_in_flight", &route).await,
        0.0
    );
    assert_eq!(
        metric(&proxy, "tower_proxy_retries_total", &route).await,
        0.0
    );
    assert_eq!(
        metric(&proxy, "tower_proxy_request_duration_seconds_count", &route).await,
        1.0
    );
    assert_eq!(
        metric(&proxy, "tower_proxy_endpoint_ready", &["cluster=\"c\""]).await,
        1.0
    );
    assert_eq!(
        metric(
            &proxy,
            "tower_proxy_endpoint_requests_total",
            &["cluster=\"c\""]
        )
        .await,
        1.0
    );
    assert_eq!(
        metric(
            &proxy,
            "tower_proxy_endpoint_failures_total",
            &["cluster=\"c\""]
        )
        .await,
        0.0
    );

    let unknown = ask(proxy.admin, get("/nothing")).await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    let refused = ask(proxy.admin, post("/live", empty())).await;
    assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn the_state_is_json_that_the_page_understands() {
    let proxy = proxy_to("http1", &[backend("b", Behavior::Steady).await]).await;
    ready(&proxy).await;
    let state = ask(proxy.admin, get("/state")).await.into_body();
    let state: serde_json::Value =
        serde_json::from_str(&state).unwrap_or_else(|error| panic!("{error}: {state}"));
    assert_eq!(state["draining"], false);
    assert_eq!(state["ready"], true);
    assert_eq!(state["metrics"]["routes"][0]["cluster"], "c");
    assert_eq!(
        state["metrics"]["clusters"][0]["endpoints"][0]["ready"],
        true
    );
}

#[tokio::test]
async fn endpoints_connect_before_any_request_arrives() {
    let (a, b) = (
        backend("a", Behavior::Steady).await,
        backend("b", Behavior::Steady).await,
    );
    for protocol in ["http1", "http2"] {
        let proxy = proxy_to(protocol, &[a, b]).await;
        for endpoint in [a, b] {
            eventually("the endpoint is ready", || async {
                metric(
                    &proxy,
                    "tower_proxy_endpoint_ready",
                    &[&endpoint.to_string()],
                )
                .await
                    == 1.0
            })
            .await;
        }
        assert_eq!(
            metric(&proxy, "tower_proxy_endpoint_requests_total", &[]).await,
            0.0
        );
    }
}

/// Returns the status line and the rest of what the admin page sends to a raw client.
async fn raw(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    // Some responses leave bytes unread, so the connection may end with a reset.
    let _ = stream.read_to_string(&mut answer).await;
    answer
}

/// Otherwise a site whose name resolves to this machine could read everything (DNS rebinding).
#[tokio::test]
async fn requests_for_other_hosts_are_rejected() {
    let proxy = proxy_to("http1", &[backend("b", Behavior::Steady).await]).await;
    let own = proxy.admin.to_string();
    for path in ["/", "/state", "/metrics", "/ready", "/live"] {
        for host in [
            own.as_str(),
            "localhost",
            "[::1]:9090",
            "10.0.0.1",
            "TEST.example:80",
        ] {
            let mut request = get(path);
            request.headers_mut().insert("host", host.parse().unwrap());
            let status = ask(proxy.admin, request).await.status();
            assert_ne!(status, StatusCode::MISDIRECTED_REQUEST, "{host}{path}");
        }
        for host in [
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
        ] {
            let mut request = get(path);
            request.headers_mut().insert("host", host.parse().unwrap());
            let answer = ask(proxy.admin, request).await;
            assert_eq!(
                answer.status(),
                StatusCode::MISDIRECTED_REQUEST,
                "{host}{path}"
            );
            assert!(
                answer.body().contains("admin.allowed_hosts"),
                "{}",
                answer.body()
            );
        }
        // Over HTTP/2 and in absolute form the host is in the target.
        let mut request = get(path);
        *request.uri_mut() = format!("http://evil.example{path}").parse().unwrap();
        let mut http2 = http2_client(proxy.admin).await;
        let status = http2.send_request(request).await.unwrap().status();
        assert_eq!(status, StatusCode::MISDIRECTED_REQUEST, "{path}");
        let absolute = format!(
            "GET http://evil.example{path} HTTP/1.1\r\nhost: {own}\r\nconnection: close\r\n\r\n"
        );
        let answer = raw(proxy.admin, &absolute).await;
        assert!(answer.starts_with("HTTP/1.1 421 "), "{answer}");
        let two = format!(
            "GET {path} HTTP/1.1\r\nhost: {own}\r\nhost: evil.example\r\nconnection: close\r\n\r\n"
        );
        let answer = raw(proxy.admin, &two).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    // Load balancers probe like this.
    let answer = raw(proxy.admin, "GET /live HTTP/1.0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.0 200 "), "{answer}");
}

async fn two_clusters(admin: &str) -> Proxy {
    let alive = backend("b", Behavior::Steady).await;
    let config = format!(
        "[[routes]]\ncluster = \"alive\"\n[[routes]]\npath = \"/dead\"\ncluster = \"dead\"\n{}{}",
        cluster("alive", "http1", &[alive]),
        cluster("dead", "http1", &[unused_address().await])
    );
    let proxy = proxy_with_admin(&config, admin).await;
    ready_endpoints(&proxy, &[alive]).await;
    proxy
}

#[tokio::test]
async fn one_unavailable_cluster_of_several_does_not_fail_readiness() {
    const ONE_OF: &str = "ready, but no endpoint is ready in: dead\n";
    const DEAD: &str = "no endpoint is ready in: dead\n";
    for (key, status, body) in [
        ("", 200, ONE_OF),
        ("ready_clusters = [\"alive\"]\n", 200, ONE_OF),
        ("ready_clusters = []\n", 200, ONE_OF),
        ("ready_clusters = [\"dead\"]\n", 503, DEAD),
        ("ready_clusters = [\"alive\", \"dead\"]\n", 503, DEAD),
    ] {
        let proxy = two_clusters(key).await;
        let ready = ask(proxy.admin, get("/ready")).await;
        let found = (ready.status().as_u16(), ready.body().as_str());
        assert_eq!(found, (status, body), "{key}");

        // The page shows the same, and for each endpoint why connecting failed.
        let state = ask(proxy.admin, get("/state")).await.into_body();
        let state: serde_json::Value = serde_json::from_str(&state).unwrap();
        assert_eq!(state["ready"], status == 200);
        assert_eq!(state["status"], body.trim_end());
        let error = &state["metrics"]["clusters"][1]["endpoints"][0]["error"];
        let error = error.as_str().unwrap();
        assert!(error.contains("cannot connect to 127.0.0.1:"), "{error}");
        assert!(error.contains("refused"), "{error}");
        let alive = &state["metrics"]["clusters"][0]["endpoints"][0];
        assert!(alive["error"].is_null(), "{alive}");
    }
}

#[tokio::test]
async fn with_all_clusters_unavailable_it_is_not_ready() {
    let config = format!(
        "[[routes]]\ncluster = \"a\"\n{}{}",
        cluster("a", "http1", &[unused_address().await]),
        cluster("b", "http2", &[unused_address().await])
    );
    let proxy = proxy(&config).await;
    let ready = ask(proxy.admin, get("/ready")).await;
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ready.body(), "no endpoint is ready in: a, b\n");
}
