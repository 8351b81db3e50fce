//! The admin page's answers.

mod support;

use http::StatusCode;
use support::*;
use tower_proxy::demo::Mood;

#[tokio::test]
async fn probes_metrics_and_page_answer() {
    let proxy = proxy_to("http1", &[backend("b", Mood::Steady).await]).await;
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
    let proxy = proxy_to("http1", &[backend("b", Mood::Steady).await]).await;
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
async fn endpoints_connect_before_any_request_comes() {
    let (a, b) = (
        backend("a", Mood::Steady).await,
        backend("b", Mood::Steady).await,
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
