//! Which endpoint gets a request, as the configuration says.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use http::HeaderValue;
use support::*;
use tower_proxy::demo::Mood;

/// A proxy before three backends that are all ready, with more of their cluster's configuration.
async fn three(more: &str) -> Proxy {
    let backends = [
        backend("a", Mood::Steady).await,
        backend("b", Mood::Steady).await,
        backend("c", Mood::Steady).await,
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
        let by = |key| format!("balancer = \"{balancer}\"\nhash = {key}");
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
        assert!(homes.len() > 1, "not all users have the same");

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
async fn turns_draws_and_choices_are_by_weight() {
    for (balancer, tolerance) in [("round_robin", 1), ("random", 25), ("p2c", 25)] {
        let proxy = three(&format!("balancer = \"{balancer}\"\nweights = [1, 0, 3]")).await;
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
async fn an_endpoint_that_fails_is_left_out_and_seen_to_be() {
    let down = backend("down", Mood::Flaky { one_in: 1 }).await;
    let steady = backend("steady", Mood::Steady).await;
    let config = "[[routes]]\ncluster = \"c\"\nretry = { attempts = 1 }\n";
    let outliers = "outliers = { consecutive = 3 }\n";
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
    assert_eq!(failed, 3, "then it is left out");
    let ejected = metric(&proxy, "tower_proxy_endpoint_ejected", &[&down.to_string()]).await;
    assert_eq!(ejected, 1.0);
    let state = ask(proxy.admin, get("/state")).await.into_body();
    assert!(state.contains("\"ejected\":true"), "{state}");
}
