//! What clients get when upstreams fail, and which failures they do not notice.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::stream;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use support::*;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tower_proxy::demo::Behavior;

fn grpc(path: &str) -> Request<RequestBody> {
    let mut request = post(path, full("\0\0\0\0\0"));
    request
        .headers_mut()
        .insert("content-type", HeaderValue::from_static("application/grpc"));
    request
}

#[tokio::test]
async fn without_an_upstream_the_response_is_503_after_a_bounded_wait() {
    for protocol in ["http1", "http2"] {
        let cluster = cluster(
            "c",
            protocol,
            &[unused_address().await, unused_address().await],
        );
        let proxy = proxy(&format!(
            "[[routes]]\ncluster = \"c\"\n{cluster}failfast_timeout = \"200ms\"\n"
        ))
        .await;
        let answer = tokio::time::timeout(LIMIT, ask(proxy.address, get("/")))
            .await
            .expect("no hang");
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.body(), "no upstream is available\n");

        let answer = tokio::time::timeout(LIMIT, ask(proxy.address, grpc("/a.B/C")))
            .await
            .expect("no hang");
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["grpc-status"], "14");
        assert_eq!(answer.headers()["grpc-message"], "no upstream is available");
        assert_eq!(answer.headers()["content-type"], "application/grpc");

        let ready = ask(proxy.admin, get("/ready")).await;
        assert_eq!(
            (ready.status(), ready.body().as_str()),
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "no endpoint is ready in: c\n"
            )
        );
    }
}

#[tokio::test]
async fn a_late_response_is_504() {
    let slow = backend("slow", Behavior::Slow(LIMIT)).await;
    let config = format!(
        "[[routes]]\ncluster = \"c\"\ntimeout = \"100ms\"\n{}",
        cluster("c", "http1", &[slow])
    );
    let proxy = proxy(&config).await;
    let answer = ask(proxy.address, get("/")).await;
    assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(answer.body(), "the upstream did not answer in time\n");
    let answer = ask(proxy.address, grpc("/a.B/C")).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["grpc-status"], "4");
}

#[tokio::test]
async fn requests_beyond_the_limit_are_503_immediately() {
    let gate = Gate::start().await;
    let config = format!(
        "[[routes]]\ncluster = \"c\"\nlimits = {{ max_in_flight = 2 }}\n{}",
        cluster("c", "http1", &[gate.address])
    );
    let proxy = proxy(&config).await;
    let running: Vec<_> = (0..2)
        .map(|_| tokio::spawn(ask(proxy.address, get("/"))))
        .collect();
    gate.entered(2).await;

    let refused = ask(proxy.address, get("/")).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        refused.body(),
        "too many requests in flight on this route\n"
    );
    gate.let_through(3);
    for answer in running {
        assert_eq!(answer.await.unwrap().body(), "done");
    }
    assert_eq!(ask(proxy.address, get("/")).await.body(), "done");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_a_backend_under_load_loses_no_get_and_it_recovers() {
    for protocol in ["http1", "http2"] {
        let mut restartable = RestartableBackend::start("restartable");
        let steady = backend("steady", Behavior::Steady).await;
        // Failed requests eject the endpoint too; short ejection times keep that from delaying its return.
        let outliers = r#"outlier_detection = { base_ejection_time = "100ms", max_ejection_time = "100ms", interval = "100ms" }"#;
        let cluster = cluster("c", protocol, &[restartable.address, steady]);
        let config = format!("[[routes]]\ncluster = \"c\"\n{cluster}{outliers}\n");
        let proxy = proxy(&config).await;
        ready(&proxy).await;
        eventually("both endpoints are ready", || async {
            metric(
                &proxy,
                "tower_proxy_endpoint_ready",
                &[&restartable.address.to_string()],
            )
            .await
                == 1.0
        })
        .await;

        let stop = Arc::new(AtomicBool::new(false));
        let clients: Vec<_> = (0..16)
            .map(|_| {
                let (stop, address) = (Arc::clone(&stop), proxy.address);
                tokio::spawn(async move {
                    let mut client = http1_client(address).await;
                    let mut seen = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        client
                            .ready()
                            .await
                            .expect("the connection to the proxy stays");
                        let response = client.send_request(get("/")).await.expect("an answer");
                        let (head, body) = response.into_parts();
                        body.collect().await.expect("a whole body");
                        assert_eq!(head.status, StatusCode::OK);
                        seen.push(head.headers["x-backend"] == "restartable");
                    }
                    seen
                })
            })
            .collect();
        let requests = || async { metric(&proxy, "tower_proxy_requests_total", &["2xx"]).await };
        let more = async |count: f64| {
            let goal = requests().await + count;
            eventually("more requests are answered", || async {
                requests().await >= goal
            })
            .await;
        };
        for _ in 0..3 {
            more(300.0).await;
            restartable.kill();
            more(300.0).await;
            restartable.restart();
            eventually("the endpoint is ready again", || async {
                metric(
                    &proxy,
                    "tower_proxy_endpoint_ready",
                    &[&restartable.address.to_string()],
                )
                .await
                    == 1.0
            })
            .await;
        }
        let to_mortal = || async {
            metric(
                &proxy,
                "tower_proxy_endpoint_requests_total",
                &[&restartable.address.to_string()],
            )
            .await
        };
        let before = to_mortal().await;
        eventually("the endpoint gets traffic again", || async {
            to_mortal().await > before + 20.0
        })
        .await;
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            let seen = client.await.expect("no request was lost");
            assert!(!seen.is_empty());
        }
    }
}

/// An endpoint that is ejected because it was killed is used again once it is up, before its ejection time is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_endpoint_is_used_again_once_it_is_up() {
    for protocol in ["http1", "http2"] {
        let mut restartable = RestartableBackend::start("restartable");
        let address = &restartable.address.to_string();
        let steady = backend("steady", Behavior::Steady).await;
        let outliers =
            r#"outlier_detection = { base_ejection_time = "1h", max_ejection_time = "1h" }"#;
        let cluster = cluster("c", protocol, &[restartable.address, steady]);
        let proxy = &proxy(&format!(
            "[[routes]]\ncluster = \"c\"\n{cluster}{outliers}\n"
        ))
        .await;
        let of_it = |name| async move { metric(proxy, name, &[address]).await };
        eventually("both endpoints are ready", || async {
            of_it("tower_proxy_endpoint_ready").await == 1.0
        })
        .await;
        let stop = Arc::new(AtomicBool::new(false));
        let clients: Vec<_> = (0..16)
            .map(|_| {
                let (stop, address) = (Arc::clone(&stop), proxy.address);
                tokio::spawn(async move {
                    while !stop.load(Ordering::Relaxed) {
                        assert_eq!(ask(address, get("/")).await.status(), StatusCode::OK);
                    }
                })
            })
            .collect();
        eventually("it has requests", || async {
            of_it("tower_proxy_endpoint_requests_total").await > 50.0
        })
        .await;
        // By chance it fails few requests, and on a slow machine it may be up again before it was seen down.
        let (mut was_ejected, mut is_back) = (false, false);
        for _ in 0..20 {
            restartable.kill();
            tokio::time::sleep(Duration::from_millis(200)).await;
            was_ejected |= of_it("tower_proxy_endpoint_ejected").await == 1.0;
            if was_ejected {
                // If it was ejected when it was up already, it is probed only every two seconds.
                tokio::time::sleep(Duration::from_millis(2500)).await;
            }
            restartable.restart();
            for _ in 0..200 {
                let is_ejected = of_it("tower_proxy_endpoint_ejected").await == 1.0;
                was_ejected |= is_ejected;
                is_back = !is_ejected && of_it("tower_proxy_endpoint_ready").await == 1.0;
                if is_back {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            if was_ejected && is_back {
                break;
            }
        }
        assert!(was_ejected && is_back, "{was_ejected} {is_back}");
        let before = of_it("tower_proxy_endpoint_requests_total").await;
        eventually("it gets requests again", || async {
            of_it("tower_proxy_endpoint_requests_total").await > before + 20.0
        })
        .await;
        assert_eq!(of_it("tower_proxy_endpoint_ejected").await, 0.0);
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.await.unwrap();
        }
    }
}

/// An endpoint that accepts connections all the time is failing, and stays ejected.
#[tokio::test]
async fn an_endpoint_that_closes_connections_is_ejected_for_its_ejection_time() {
    let (ill, count) = hangs_up().await;
    let steady = backend("steady", Behavior::Steady).await;
    let proxy = &proxy_to("http1", &[ill, steady]).await;
    let ejected = || async {
        metric(proxy, "tower_proxy_endpoint_ejected", &[&ill.to_string()]).await == 1.0
    };
    eventually("it is ejected", || async {
        assert_eq!(ask(proxy.address, get("/")).await.status(), StatusCode::OK);
        ejected().await
    })
    .await;
    let before = count.load(Ordering::SeqCst);
    // Time for some probes.
    tokio::time::sleep(Duration::from_millis(500)).await;
    for _ in 0..50 {
        assert_eq!(ask(proxy.address, get("/")).await.status(), StatusCode::OK);
    }
    assert!(ejected().await);
    assert_eq!(count.load(Ordering::SeqCst), before);
}

/// An endpoint that hangs is ejected before any request to it has timed out.
#[tokio::test]
async fn an_endpoint_that_never_responds_is_ejected_while_its_requests_wait() {
    let hung = server(|_| std::future::pending::<Response<RequestBody>>()).await;
    let steady = backend("steady", Behavior::Steady).await;
    let cluster = cluster("c", "http1", &[hung, steady]);
    let config = format!(
        "[[routes]]\ncluster = \"c\"\ntimeout = \"off\"\n{cluster}lb_policy = \"round_robin\"\noutlier_detection = {{ interval = \"100ms\" }}\n"
    );
    let proxy = &proxy(&config).await;
    ready_endpoints(proxy, &[hung, steady]).await;
    let waiting: Vec<_> = (0..20)
        .map(|_| tokio::spawn(ask(proxy.address, get("/"))))
        .collect();
    eventually("it is ejected", || async {
        metric(proxy, "tower_proxy_endpoint_ejected", &[&hung.to_string()]).await == 1.0
    })
    .await;
    for _ in 0..20 {
        assert_eq!(ask(proxy.address, get("/")).await.status(), StatusCode::OK);
    }
    let in_flight = metric(proxy, "tower_proxy_requests_in_flight", &[]).await;
    assert!(in_flight >= 5.0, "{in_flight}");
    waiting.into_iter().for_each(|request| request.abort());
}

/// Starts an upstream that counts its requests, reads their body if any, and closes the connection without a response.
async fn hangs_up() -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let requests = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let requests = Arc::clone(&requests);
            tokio::spawn(async move {
                let mut buffer = vec![0; 65_536];
                if stream.read(&mut buffer).await.is_ok_and(|n| n > 0) {
                    requests.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    (address, count)
}

#[tokio::test]
async fn a_get_is_retried_as_configured_and_then_502() {
    let (upstream, count) = hangs_up().await;
    let proxy = proxy_to("http1", &[upstream]).await;
    assert_eq!(
        ask(proxy.address, get("/")).await.status(),
        StatusCode::BAD_GATEWAY
    );
    assert_eq!(count.load(Ordering::SeqCst), 3);
    assert_eq!(metric(&proxy, "tower_proxy_retries_total", &[]).await, 2.0);
}

#[tokio::test]
async fn a_post_that_may_have_been_processed_is_not_retried() {
    let (upstream, count) = hangs_up().await;
    let proxy = proxy_to("http1", &[upstream]).await;
    for body in [empty(), full("a body")] {
        assert_eq!(
            ask(proxy.address, post("/", body)).await.status(),
            StatusCode::BAD_GATEWAY
        );
    }
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_unsent_post_goes_to_another_endpoint_with_its_body() {
    let mut restartable = RestartableBackend::start("restartable");
    let steady = backend("steady", Behavior::Steady).await;
    let proxy = proxy_to("http1", &[restartable.address, steady]).await;
    eventually("both endpoints are ready", || async {
        metric(
            &proxy,
            "tower_proxy_endpoint_ready",
            &[&restartable.address.to_string()],
        )
        .await
            == 1.0
    })
    .await;
    restartable.kill();
    for _ in 0..50 {
        let answer = ask(proxy.address, post("/", full("a body"))).await;
        assert_eq!(
            (answer.status(), answer.body().as_str()),
            (StatusCode::OK, "a body")
        );
    }
}

#[tokio::test]
async fn a_503_of_one_endpoint_is_retried_within_the_budget() {
    let flaky = backend("flaky", Behavior::Flaky { one_in: 5 }).await;
    let proxy = proxy_to("http1", &[flaky]).await;
    for _ in 0..40 {
        assert_eq!(ask(proxy.address, get("/")).await.status(), StatusCode::OK);
    }
    assert!(metric(&proxy, "tower_proxy_retries_total", &[]).await >= 8.0);

    let down = backend("down", Behavior::Flaky { one_in: 1 }).await;
    let proxy = proxy_to("http1", &[down]).await;
    for _ in 0..300 {
        let answer = ask(proxy.address, get("/")).await;
        assert_eq!(
            (answer.status(), answer.body().as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, "down has a bad moment\n")
        );
    }
    // The budget's reserve, ten per second over ten seconds, and a little for what arrives while the test runs; not
    // 600.
    assert!(metric(&proxy, "tower_proxy_retries_total", &[]).await <= 250.0);
}

#[tokio::test]
async fn a_client_that_disconnects_releases_what_its_request_held() {
    let upstream = backend("slow", Behavior::Slow(LIMIT)).await;
    let config = format!(
        "[[routes]]\ncluster = \"c\"\nlimits = {{ max_in_flight = 1 }}\n{}",
        cluster("c", "http1", &[upstream])
    );
    let proxy = proxy(&config).await;
    for _ in 0..5 {
        let mut client = http1_client(proxy.address).await;
        let request = tokio::spawn(async move { client.send_request(get("/")).await });
        eventually("the request is in flight", || async {
            metric(&proxy, "tower_proxy_requests_in_flight", &[]).await == 1.0
        })
        .await;
        request.abort();
        eventually("it is not any more", || async {
            metric(&proxy, "tower_proxy_requests_in_flight", &[]).await == 0.0
        })
        .await;
    }
}

/// A client gets the reason before it has sent the whole body, over either protocol.
#[tokio::test]
async fn a_response_does_not_wait_for_the_end_of_the_request() {
    let proxy = proxy_to("http1", &[unused_address().await]).await;
    let endless = || {
        let chunks = stream::repeat_with(|| Ok(Frame::data(vec![0; 16_384].into())));
        StreamBody::new(chunks).boxed_unsync()
    };
    let answer = http2_client(proxy.address)
        .await
        .send_request(post("/", endless()))
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(!body.is_empty());
    let answer = http1_client(proxy.address)
        .await
        .send_request(post("/", endless()))
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
}
