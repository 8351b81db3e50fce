//! The endpoint that gets a request, as configured.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{HeaderValue, Response, StatusCode};
use support::*;
use tower_proxy::demo::Behavior;

/// Starts a proxy in front of three ready backends, with more keys for their cluster.
async fn three(more: &str) -> Proxy {
    let backends = [
        backend("a", Behavior::Steady).await,
        backend("b", Behavior::Steady).await,
        backend("c", Behavior::Steady).await,
    ];
    let cluster = cluster("c", "http1", &backends);
    let proxy = proxy(&format!("[[routes]]\ncluster = \"c\"\n{cluster}{more}\n")).await;
    ready_endpoints(&proxy, &backends).await;
    proxy
}

async fn answers(proxy: &Proxy, path: &str, header: Option<(&'static str, &str)>) -> String {
    let mut request = get(path);
    if let Some((name, value)) = header {
        request
            .headers_mut()
            .insert(name, HeaderValue::from_str(value).unwrap());
    }
    let answer = ask(proxy.address, request).await;
    answer.headers()["x-backend"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_key_keeps_to_its_endpoint() {
    for balancer in ["ring_hash", "maglev"] {
        let by = |key| format!("lb_policy = \"{balancer}\"\nhash_policy = {key}");
        let proxy = three(&by("{ header = \"x-user\" }")).await;
        let mut homes = BTreeSet::new();
        for user in 0..20 {
            let user = user.to_string();
            let home = answers(&proxy, "/", Some(("x-user", &user))).await;
            for path in ["/", "/other"] {
                assert_eq!(answers(&proxy, path, Some(("x-user", &user))).await, home);
            }
            homes.insert(home);
        }
        assert!(homes.len() > 1, "users are spread over several endpoints");

        let proxy = three(&by("{ cookie = \"session\" }")).await;
        let home = answers(&proxy, "/", Some(("cookie", "a=b; session=42"))).await;
        assert_eq!(
            answers(&proxy, "/", Some(("cookie", "session=42; c=d"))).await,
            home
        );

        let proxy = three(&by("\"path\"")).await;
        let home = answers(&proxy, "/here", None).await;
        assert_eq!(answers(&proxy, "/here?q=1", None).await, home);
    }
}

#[tokio::test]
async fn every_policy_distributes_by_weight() {
    for (balancer, tolerance) in [("round_robin", 1), ("random", 25), ("p2c", 25)] {
        let proxy = three(&format!("lb_policy = \"{balancer}\"\nweights = [1, 0, 3]")).await;
        let mut counts = BTreeMap::new();
        for _ in 0..200_u32 {
            *counts
                .entry(answers(&proxy, "/", None).await)
                .or_insert(0_u32) += 1;
        }
        assert!(!counts.contains_key("b"), "{balancer}: {counts:?}");
        assert!(
            counts["a"].abs_diff(50) <= tolerance,
            "{balancer}: {counts:?}"
        );
    }
}

#[tokio::test]
async fn a_failing_endpoint_is_ejected_and_reported_as_ejected() {
    let down = backend("down", Behavior::Flaky { one_in: 1 }).await;
    let steady = backend("steady", Behavior::Steady).await;
    let config = "[[routes]]\ncluster = \"c\"\nretry = { max_attempts = 1 }\n";
    let outliers = "outlier_detection = { consecutive_failures = 3 }\n";
    let cluster = cluster("c", "http1", &[down, steady]);
    let proxy = proxy(&format!("{config}{cluster}{outliers}")).await;
    ready_endpoints(&proxy, &[down, steady]).await;
    let mut failed = 0;
    for _ in 0..100 {
        failed += u32::from(
            ask(proxy.address, get("/"))
                .await
                .status()
                .is_server_error(),
        );
    }
    assert_eq!(failed, 3, "then it is ejected");
    let ejected = metric(&proxy, "tower_proxy_endpoint_ejected", &[&down.to_string()]).await;
    assert_eq!(ejected, 1.0);
    let state = ask(proxy.admin, get("/state")).await.into_body();
    assert!(state.contains("\"ejected\":true"), "{state}");
}

/// Starts three backends: one responds with `bad`, the others immediately.
async fn one_of_three<F>(config: &str, more: &str, bad: fn() -> F) -> Proxy
where
    F: Future<Output = StatusCode> + Send + 'static,
{
    let bad = server(move |_| async move { answer(bad().await) }).await;
    let backends = [
        bad,
        server(|_| async { answer(StatusCode::OK) }).await,
        server(|_| async { answer(StatusCode::OK) }).await,
    ];
    let cluster = cluster("c", "http1", &backends);
    let proxy = proxy(&format!("{config}{cluster}{more}")).await;
    ready_endpoints(&proxy, &backends).await;
    proxy
}

fn answer(status: StatusCode) -> Response<RequestBody> {
    let mut response = Response::new(empty());
    *response.status_mut() = status;
    response
}

/// Counts failures while `clients` clients send one request after the other, which makes an endpoint that fails fast
/// attractive.
async fn failures(proxy: &Proxy, clients: usize, requests: usize) -> usize {
    let clients = (0..clients).map(|_| async move {
        let mut failures = 0;
        for _ in 0..requests {
            let answer = ask(proxy.address, get("/")).await;
            failures += usize::from(answer.status().is_server_error());
        }
        failures
    });
    futures_util::future::join_all(clients)
        .await
        .into_iter()
        .sum()
}

#[tokio::test]
async fn by_default_an_endpoint_that_fails_fast_gets_few_requests() {
    let config = "[[routes]]\ncluster = \"c\"\n";
    let proxy = one_of_three(config, "", || {
        std::future::ready(StatusCode::INTERNAL_SERVER_ERROR)
    })
    .await;
    // Each client may have one more request in flight when the endpoint is ejected.
    assert!(failures(&proxy, 8, 100).await <= 5 + 8);
}

#[tokio::test]
async fn an_endpoint_that_hangs_is_ejected_below_the_timeouts() {
    for timeout in [
        "timeout = \"300ms\"",
        "retry = { per_try_timeout = \"300ms\", max_attempts = 1 }",
    ] {
        let config = format!("[[routes]]\ncluster = \"c\"\n{timeout}\n");
        let balancer = "lb_policy = \"round_robin\"\n";
        let proxy = one_of_three(&config, balancer, std::future::pending).await;
        let failures = failures(&proxy, 2, 60).await;
        assert!((5..=6).contains(&failures), "{timeout}: {failures}");
    }
}

#[tokio::test]
async fn clients_that_disconnect_eject_no_endpoint() {
    let config = "[[routes]]\ncluster = \"c\"\n";
    let outliers =
        "outlier_detection = { cancelled_after = \"1ms\", max_ejection_percent = 100 }\n";
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let hangs = server(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        std::future::pending::<Response<RequestBody>>()
    })
    .await;
    let proxy = proxy(&format!(
        "{config}{}{outliers}",
        cluster("c", "http1", &[hangs])
    ))
    .await;
    ready_endpoints(&proxy, &[hangs]).await;
    for n in 1..=20 {
        let address = proxy.address;
        let client = tokio::spawn(async move { ask(address, get("/")).await });
        eventually("the request arrives", async || {
            asked.load(Ordering::Relaxed) == n
        })
        .await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        client.abort();
    }
    let in_flight = || metric(&proxy, "tower_proxy_requests_in_flight", &["c"]);
    eventually("all have ended", async || in_flight().await == 0.0).await;
    let ejected = metric(
        &proxy,
        "tower_proxy_endpoint_ejected",
        &[&hangs.to_string()],
    )
    .await;
    assert_eq!(ejected, 0.0);
}
