//! The metrics, including requests that match no route, that were rejected, or that no handler has seen.

mod support;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower::BoxError;
use tower_proxy::demo::Behavior;

async fn failures(proxy: &Proxy, route: &str, reason: &str) -> f64 {
    let (route, reason) = (format!("route=\"{route}\""), format!("reason=\"{reason}\""));
    metric(proxy, "tower_proxy_failures_total", &[&route, &reason]).await
}

async fn responses(proxy: &Proxy, route: &str, class: &str) -> f64 {
    let (route, class) = (format!("route=\"{route}\""), format!("class=\"{class}\""));
    metric(proxy, "tower_proxy_requests_total", &[&route, &class]).await
}

/// Starts a proxy with a route for `/a` only.
async fn proxy_for_a(keys: &str) -> Proxy {
    let steady = backend("b", Behavior::Steady).await;
    proxy(&format!(
        "[[routes]]\npath = \"/a\"\ncluster = \"c\"\n{keys}\n{}",
        cluster("c", "http1", &[steady])
    ))
    .await
}

#[tokio::test]
async fn requests_without_a_route_are_counted() {
    let proxy = proxy_for_a("").await;
    assert_eq!(
        ask(proxy.address, get("/b")).await.status(),
        StatusCode::NOT_FOUND
    );
    let connect = Request::connect("a.example:443").body(empty()).unwrap();
    let refused = http1_client(proxy.address)
        .await
        .send_request(connect)
        .await;
    assert_eq!(refused.unwrap().status(), StatusCode::NOT_IMPLEMENTED);

    assert_eq!(failures(&proxy, "none", "no_route").await, 1.0);
    assert_eq!(failures(&proxy, "none", "unsupported").await, 1.0);
    assert_eq!(responses(&proxy, "none", "4xx").await, 1.0);
    assert_eq!(responses(&proxy, "none", "5xx").await, 1.0);
    assert_eq!(responses(&proxy, "/a", "4xx").await, 0.0);

    // A gRPC client gets a status of 200, but the request was rejected as well.
    let mut grpc = post("/a.B/C", empty());
    let content_type = "application/grpc".parse().unwrap();
    grpc.headers_mut().insert("content-type", content_type);
    ask(proxy.address, grpc).await;
    assert_eq!(failures(&proxy, "none", "no_route").await, 2.0);
    assert_eq!(responses(&proxy, "none", "4xx").await, 2.0);
}

#[tokio::test]
async fn malformed_requests_are_counted() {
    let proxy = proxy_for_a("").await;
    let huge = format!(
        "GET /a HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
        "x".repeat(2_000_000)
    );
    for (request, status, reason) in [
        ("GET /a b c HTTP/1.1\r\n\r\n", "400", "malformed"),
        ("GET /a HTTP/1.1\r\nno colon\r\n\r\n", "400", "malformed"),
        ("GET /a HTTP/7.1\r\nhost: a\r\n\r\n", "400", "malformed"),
        (&huge, "431", "head_too_large"),
    ] {
        let before = failures(&proxy, "none", reason).await;
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = vec![0; 12];
        let _ = stream.read_exact(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        if answer.starts_with("HTTP") {
            assert_eq!(answer.split(' ').nth(1), Some(status), "{reason}");
        }
        eventually("it is counted", || async {
            failures(&proxy, "none", reason).await == before + 1.0
        })
        .await;
    }
    // An HTTP/2 frame where it is not allowed: the whole connection ends.
    let before = failures(&proxy, "none", "malformed").await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x05\0\0\0\0\0\0hello")
        .await
        .unwrap();
    let _ = stream.read_to_end(&mut Vec::new()).await;
    eventually("it is counted", || async {
        failures(&proxy, "none", "malformed").await == before + 1.0
    })
    .await;
    // A client that only disconnects has sent nothing malformed.
    drop(TcpStream::connect(proxy.address).await.unwrap());
    ask(proxy.address, get("/a")).await;
    assert_eq!(failures(&proxy, "none", "malformed").await, before + 1.0);
}

#[tokio::test]
async fn a_head_that_does_not_arrive_is_counted() {
    let steady = backend("b", Behavior::Steady).await;
    let proxy = proxy(&format!(
        "[clients]\nrequest_headers_timeout = \"100ms\"\n[[routes]]\ncluster = \"c\"\n{}",
        cluster("c", "http1", &[steady])
    ))
    .await;
    // A client that only connects has sent no request.
    for (sent, counted) in [("", 0.0), ("G", 1.0), ("GET / HTTP/1.1\r\nhost: a", 2.0)] {
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
        eventually("it is counted", || async {
            failures(&proxy, "none", "head_timeout").await == counted
        })
        .await;
    }
}

#[tokio::test]
async fn failures_are_counted_by_reason() {
    let dead = unused_address().await;
    let breaks = breaking().await;
    let slow = backend("slow", Behavior::Slow(LIMIT)).await;
    let halves = server(|_request: Request<Incoming>| async { Response::new(stalling()) }).await;
    let config = [
        ("/dead", "", dead),
        ("/breaks", "retry = { max_attempts = 1 }", breaks),
        ("/slow", "timeout = \"50ms\"", slow),
        ("/invalid", "", slow),
        ("/half", "idle_timeout = \"50ms\"", halves),
        ("/full", "limits = { max_in_flight = 1 }", slow),
    ];
    let config = config.map(|(path, keys, address)| {
        let name = &path[1..];
        let timeout = "failfast_timeout = \"50ms\"\n";
        let cluster = cluster(name, "http1", &[address]);
        format!("[[routes]]\npath = \"{path}\"\ncluster = \"{name}\"\n{keys}\n{cluster}{timeout}")
    });
    let proxy = proxy(&config.concat()).await;

    let status = ask(proxy.address, get("/dead")).await.status();
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(failures(&proxy, "/dead", "unavailable").await, 1.0);

    let status = ask(proxy.address, get("/breaks")).await.status();
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    assert_eq!(failures(&proxy, "/breaks", "upstream_broke").await, 1.0);

    let status = ask(proxy.address, get("/slow")).await.status();
    assert_eq!(status, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(failures(&proxy, "/slow", "timeout").await, 1.0);

    let mut invalid = get("/invalid");
    let timeout = "soon".parse().unwrap();
    invalid
        .headers_mut()
        .insert("x-request-timeout-ms", timeout);
    assert_eq!(
        ask(proxy.address, invalid).await.status(),
        StatusCode::BAD_REQUEST
    );
    assert_eq!(failures(&proxy, "/invalid", "invalid_timeout").await, 1.0);

    let half = http1_client(proxy.address)
        .await
        .send_request(get("/half"))
        .await;
    assert!(half.unwrap().into_body().collect().await.is_err());
    assert_eq!(failures(&proxy, "/half", "response_timeout").await, 1.0);

    // The first takes the only permit, and disconnects before its response.
    let address = proxy.address;
    let first = tokio::spawn(async move { ask(address, get("/full")).await });
    eventually("the first is in flight", || async {
        metric(
            &proxy,
            "tower_proxy_requests_in_flight",
            &["route=\"/full\""],
        )
        .await
            == 1.0
    })
    .await;
    let status = ask(proxy.address, get("/full")).await.status();
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(failures(&proxy, "/full", "overloaded").await, 1.0);
    first.abort();
    eventually("the first is over", || async {
        failures(&proxy, "/full", "client_gone").await == 1.0
    })
    .await;

    // Each was counted once, and the page shows it.
    let state = ask(proxy.admin, get("/state")).await.into_body();
    let state: serde_json::Value = serde_json::from_str(&state).unwrap();
    for (route, expected) in [
        ("/dead", serde_json::json!({"unavailable": 1})),
        ("/breaks", serde_json::json!({"upstream_broke": 1})),
        ("/half", serde_json::json!({"response_timeout": 1})),
        (
            "/full",
            serde_json::json!({"overloaded": 1, "client_gone": 1}),
        ),
        ("none", serde_json::json!({})),
    ] {
        let routes = state["metrics"]["routes"].as_array().unwrap();
        let found = routes.iter().find(|found| found["route"] == route);
        assert_eq!(found.unwrap()["failures"], expected, "{route}");
    }
}

/// Returns a body that begins and does not continue.
fn stalling() -> RequestBody {
    let first = stream::iter([Ok::<_, BoxError>(Frame::data(Bytes::from("half")))]);
    StreamBody::new(first.chain(stream::pending())).boxed_unsync()
}

/// Starts an upstream that closes each connection once it has received a request.
async fn breaking() -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move { stream.read(&mut [0; 1024]).await });
        }
    });
    address
}

/// Complete responses are not failures, however their end is framed; nor is one that a client abandons.
#[tokio::test]
async fn complete_responses_and_disconnects_are_not_failures() {
    let upstream = server(|request: Request<Incoming>| async move {
        let path = request.uri().path().to_owned();
        let mut response = Response::new(match path.as_str() {
            "/a/none" => empty(),
            "/a/chunked" => full("body").with_trailers(async { None }).boxed_unsync(),
            "/a/endless" => stalling(),
            _ => full("body"),
        });
        if path == "/a/304" {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        response
    })
    .await;
    let proxy = proxy(&format!(
        "[[routes]]\npath = \"/a\"\ncluster = \"c\"\n{}",
        cluster("c", "http1", &[upstream])
    ))
    .await;
    for path in ["/a/none", "/a/chunked", "/a/length", "/a/304"] {
        for method in ["GET", "HEAD", "POST"] {
            let mut request = get(path);
            *request.method_mut() = method.parse().unwrap();
            ask(proxy.address, request).await;
            let mut request = get(path);
            *request.method_mut() = method.parse().unwrap();
            *request.uri_mut() = format!("http://test.example{path}").parse().unwrap();
            let response = http2_client(proxy.address)
                .await
                .send_request(request)
                .await;
            response.unwrap().into_body().collect().await.unwrap();
        }
    }
    eventually("all are over", || async {
        metric(&proxy, "tower_proxy_requests_in_flight", &["route=\"/a\""]).await == 0.0
    })
    .await;
    assert_eq!(failures(&proxy, "/a", "client_gone").await, 0.0);
    for left in 1..=2 {
        let mut client = http1_client(proxy.address).await;
        let mut body = client
            .send_request(get("/a/endless"))
            .await
            .unwrap()
            .into_body();
        body.frame().await.unwrap().unwrap();
        drop((client, body));
        eventually("it is counted", || async {
            failures(&proxy, "/a", "client_gone").await == f64::from(left)
        })
        .await;
    }
}

/// A request that takes as long as the default timeout allows is not beyond the last bucket.
#[tokio::test]
async fn the_buckets_reach_past_the_timeouts() {
    for (keys, longest) in [
        ("", 300.0),
        ("body_timeout = \"2h\"", 7200.0),
        ("timeout = \"24h\"", 86400.0),
    ] {
        let proxy = proxy_for_a(keys).await;
        ask(proxy.address, get("/a")).await;
        let text = ask(proxy.admin, get("/metrics")).await.into_body();
        let bounds = text
            .lines()
            .filter(|line| line.starts_with("tower_proxy_request_duration_seconds_bucket"))
            .filter_map(|line| {
                line.split("le=\"")
                    .nth(1)?
                    .split('"')
                    .next()?
                    .parse::<f64>()
                    .ok()
            })
            .filter(|bound| bound.is_finite());
        let last = bounds.fold(0.0, f64::max);
        assert!(last > longest, "{keys}: {last}");
    }
}

#[tokio::test]
async fn endpoints_show_their_5xx() {
    let flaky = backend("flaky", Behavior::Flaky { one_in: 1 }).await;
    for protocol in ["http1", "http2"] {
        let proxy = proxy_to(protocol, &[flaky]).await;
        for _ in 0..3 {
            // A POST is not retried.
            let status = ask(proxy.address, post("/", full("x"))).await.status();
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        }
        let endpoint = flaky.to_string();
        let name = "tower_proxy_endpoint_responses_total";
        assert_eq!(
            metric(&proxy, name, &[&endpoint, "class=\"5xx\""]).await,
            3.0
        );
        assert_eq!(
            metric(&proxy, name, &[&endpoint, "class=\"2xx\""]).await,
            0.0
        );
        let state = ask(proxy.admin, get("/state")).await.into_body();
        let state: serde_json::Value = serde_json::from_str(&state).unwrap();
        let shown = &state["metrics"]["clusters"][0]["endpoints"][0];
        assert_eq!(shown["responses"], serde_json::json!([0, 0, 0, 0, 3]));
    }
}
