//! Which requests are retried, and with what result.

mod support;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use support::*;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};
use tower::BoxError;
use tower_proxy::demo::Behavior;
use tower_proxy::demo::pb::Message;

/// Starts an upstream that reads a part of each request, then breaks the connection. Counts the requests.
async fn dies_midway(part: usize) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let requests = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let requests = Arc::clone(&requests);
            tokio::spawn(async move {
                let mut read = 0;
                let mut buffer = vec![0; 4096];
                while read < part {
                    match stream.read(&mut buffer).await {
                        Ok(n) if n > 0 => read += n,
                        _ => return,
                    }
                }
                requests.fetch_add(1, Ordering::SeqCst);
            });
        }
    });
    (address, count)
}

/// Starts an upstream that echoes complete bodies, and counts incomplete ones.
async fn echoes() -> (SocketAddr, Arc<AtomicUsize>) {
    let halves = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&halves);
    let address = server(move |request: Request<Incoming>| {
        let halves = Arc::clone(&counter);
        async move {
            match request.into_body().collect().await {
                Ok(body) => Response::new(full(body.to_bytes())),
                Err(_) => {
                    halves.fetch_add(1, Ordering::SeqCst);
                    Response::new(empty())
                }
            }
        }
    })
    .await;
    (address, halves)
}

/// Returns a body of `kib` KiB and unknown length, in frames of 1 KiB.
fn streamed(kib: usize) -> RequestBody {
    let pieces = (0..kib).map(|n| Ok::<_, BoxError>(Frame::data(Bytes::from(vec![n as u8; 1024]))));
    StreamBody::new(stream::iter(pieces.collect::<Vec<_>>())).boxed_unsync()
}

fn idempotent(body: RequestBody) -> Request<RequestBody> {
    let mut request = post("/", body);
    request
        .headers_mut()
        .insert("idempotency-key", HeaderValue::from_static("1"));
    request
}

#[tokio::test]
async fn a_streamed_post_is_retried_if_the_backend_fails_during_the_request() {
    let (dying, died) = dies_midway(16 * 1024).await;
    let (steady, halves) = echoes().await;
    let proxy = proxy_to("http1", &[dying, steady]).await;
    ready_endpoints(&proxy, &[dying, steady]).await;
    let expected = streamed(48).collect().await.unwrap().to_bytes();
    for _ in 0..40 {
        let mut client = http1_client(proxy.address).await;
        let response = client.send_request(idempotent(streamed(48))).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(body == expected, "the body is unchanged");
    }
    assert!(
        died.load(Ordering::SeqCst) >= 5,
        "some requests were retried"
    );
    assert_eq!(halves.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_body_too_long_to_replay_gets_a_clean_error_and_is_never_truncated() {
    let (dying, died) = dies_midway(256 * 1024).await;
    let (steady, halves) = echoes().await;
    let proxy = proxy_to("http1", &[dying, steady]).await;
    ready_endpoints(&proxy, &[dying, steady]).await;
    let mut statuses = std::collections::BTreeMap::new();
    for _ in 0..20 {
        let mut client = http1_client(proxy.address).await;
        let response = client
            .send_request(idempotent(streamed(1024)))
            .await
            .unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        match status {
            StatusCode::OK => assert_eq!(body.len(), 1024 * 1024),
            StatusCode::BAD_GATEWAY => assert_eq!(body, "the upstream broke the connection\n"),
            other => panic!("{other}"),
        }
        *statuses.entry(status.as_u16()).or_insert(0) += 1;
    }
    assert_eq!(statuses[&502], died.load(Ordering::SeqCst), "{statuses:?}");
    assert_eq!(halves.load(Ordering::SeqCst), 0);
}

/// Starts an upstream that responds to the first request with these headers and this status, and to later ones with
/// 200.
async fn fails_once(
    status: u16,
    headers: &'static [(&'static str, &'static str)],
) -> (SocketAddr, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let requests = Arc::clone(&count);
    let address = server(move |_request: Request<Incoming>| {
        let first = requests.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            let mut response = Response::new(full("done"));
            if first {
                *response.status_mut() = StatusCode::from_u16(status).unwrap();
                for (name, value) in headers {
                    let name = HeaderName::from_static(name);
                    response
                        .headers_mut()
                        .insert(name, HeaderValue::from_static(value));
                }
            }
            response
        }
    })
    .await;
    (address, count)
}

#[tokio::test]
async fn a_retry_after_is_waited_for() {
    let (backend, count) = fails_once(503, &[("retry-after", "1")]).await;
    let proxy = proxy_to("http1", &[backend]).await;
    let start = Instant::now();
    assert_eq!(ask(proxy.address, get("/")).await.body(), "done");
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert_eq!(count.load(Ordering::SeqCst), 2);

    let (backend, count) = fails_once(503, &[("retry-after", "31")]).await;
    let proxy = proxy_to("http1", &[backend]).await;
    let answer = ask(proxy.address, get("/")).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        answer.headers()["retry-after"],
        "31",
        "the client may wait itself"
    );
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn statuses_are_those_of_the_configuration() {
    for (status, again) in [(429, true), (503, false)] {
        let (backend, count) = fails_once(status, &[]).await;
        let proxy = proxy(&format!(
            "[[routes]]\ncluster = \"c\"\nretry = {{ retriable_status_codes = [408, 425, 429] }}\n{}",
            cluster("c", "http1", &[backend])
        ))
        .await;
        assert_eq!(ask(proxy.address, get("/")).await.status() == 200, again);
        assert_eq!(count.load(Ordering::SeqCst) == 2, again);
    }
}

#[tokio::test]
async fn an_attempt_that_times_out_is_retried() {
    let slow = backend("slow", Behavior::Slow(LIMIT)).await;
    let steady = backend("steady", Behavior::Steady).await;
    let proxy = proxy(&format!(
        "[[routes]]\ncluster = \"c\"\nretry = {{ per_try_timeout = \"100ms\" }}\n{}",
        cluster("c", "http1", &[slow, steady])
    ))
    .await;
    ready_endpoints(&proxy, &[slow, steady]).await;
    for _ in 0..10 {
        assert_eq!(
            ask(proxy.address, get("/")).await.headers()["x-backend"],
            "steady"
        );
    }
    assert!(metric(&proxy, "tower_proxy_retries_total", &[]).await >= 1.0);
}

/// The balancer counts requests in flight, and there is one at a time: without knowledge of earlier attempts, half of
/// the retries would go to the endpoint of the first attempt.
#[tokio::test]
async fn a_retry_goes_to_another_endpoint() {
    let down = backend("down", Behavior::Flaky { one_in: 1 }).await;
    let steady = backend("steady", Behavior::Steady).await;
    let config = "[[routes]]\ncluster = \"c\"\nretry = { max_attempts = 2, initial_backoff = \"1ms\", min_retries_per_second = 1000 }\n";
    let proxy = proxy(&format!(
        "{config}{}outlier_detection = {{ enabled = false }}\n",
        cluster("c", "http1", &[down, steady])
    ))
    .await;
    ready_endpoints(&proxy, &[down, steady]).await;
    for _ in 0..60 {
        let answer = ask(proxy.address, get("/")).await;
        assert_eq!(
            (answer.status(), &answer.headers()["x-backend"]),
            (StatusCode::OK, &HeaderValue::from_static("steady"))
        );
    }
    assert!(metric(&proxy, "tower_proxy_retries_total", &[]).await >= 10.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_cluster_gets_at_most_a_fifth_more_requests() {
    const REQUESTS: usize = 3000;
    let count = Arc::new(AtomicUsize::new(0));
    let attempts = Arc::clone(&count);
    let backend = server(move |_request: Request<Incoming>| {
        // Three of ten fail.
        let fails = attempts.fetch_add(1, Ordering::SeqCst) % 10 < 3;
        async move {
            let mut response = Response::new(empty());
            if fails {
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            }
            response
        }
    })
    .await;
    let config = "[[routes]]\ncluster = \"c\"\nretry = { initial_backoff = \"1ms\", min_retries_per_second = 0 }\n";
    let proxy = proxy(&format!("{config}{}", cluster("c", "http1", &[backend]))).await;
    ready(&proxy).await;
    let clients = (0..16).map(|_| {
        let address = proxy.address;
        tokio::spawn(async move {
            let mut client = http1_client(address).await;
            for _ in 0..REQUESTS / 16 {
                client.ready().await.unwrap();
                let response = client.send_request(get("/")).await.unwrap();
                response.into_body().collect().await.unwrap();
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    let requests = REQUESTS / 16 * 16;
    let extra = count.load(Ordering::SeqCst) - requests;
    assert!(extra * 10 <= requests * 2, "{extra} more than {requests}");
    assert!(
        extra * 10 >= requests,
        "only {extra} of the {requests} were sent again"
    );
    assert!(metric(&proxy, "tower_proxy_retries_refused_total", &[]).await > 0.0);
}

/// Starts a gRPC backend that responds UNAVAILABLE to the first call, in its headers or in its trailers, then echoes.
/// Records the headers of all calls.
async fn unavailable_once(late: bool) -> (SocketAddr, Arc<Mutex<Vec<HeaderMap>>>) {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&calls);
    let echo = tower_proxy::demo::Backend::new("b", Behavior::Steady);
    let address = server(move |request: Request<Incoming>| {
        let echo = echo.clone();
        let first = {
            let mut seen = seen.lock().unwrap();
            seen.push(request.headers().clone());
            seen.len() == 1
        };
        async move {
            if !first {
                return echo.handle(request).await;
            }
            let mut response = Response::builder()
                .header("content-type", "application/grpc")
                .body(empty())
                .unwrap();
            let status = HeaderMap::from_iter([(
                "grpc-status".parse().unwrap(),
                HeaderValue::from_static("14"),
            )]);
            if late {
                let trailers = stream::iter([Ok::<_, BoxError>(Frame::trailers(status))]);
                *response.body_mut() = StreamBody::new(trailers).boxed_unsync();
            } else {
                response.headers_mut().extend(status);
            }
            response
        }
    })
    .await;
    (address, calls)
}

fn message(text: &str) -> Message {
    Message {
        text: text.to_owned(),
        ..Message::default()
    }
}

#[tokio::test]
async fn a_unary_call_is_retried_by_a_status_in_headers_or_trailers() {
    for late in [false, true] {
        let (backend, calls) = unavailable_once(late).await;
        let proxy = proxy_to("http2", &[backend]).await;
        let answer = grpc_client(&proxy)
            .await
            .say(message("hello"))
            .await
            .unwrap();
        assert_eq!(answer.into_inner().text, "hello");
        let calls = calls.lock().unwrap();
        let attempts: Vec<_> = calls
            .iter()
            .map(|headers| headers.get("grpc-previous-rpc-attempts"))
            .collect();
        assert_eq!(attempts, [None, Some(&HeaderValue::from_static("1"))]);
    }
}

#[tokio::test]
async fn the_codes_are_those_of_the_configuration() {
    let (backend, calls) = unavailable_once(true).await;
    let proxy = proxy(&format!(
        "[[routes]]\ncluster = \"c\"\nretry = {{ retriable_grpc_codes = [\"aborted\"] }}\n{}",
        cluster("c", "http2", &[backend])
    ))
    .await;
    let status = grpc_client(&proxy)
        .await
        .say(message("hello"))
        .await
        .unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable);
    assert_eq!(calls.lock().unwrap().len(), 1);
}

/// Calls that are not unary are streamed as before, although they could be retried at first.
#[tokio::test]
async fn a_bidirectional_stream_begins_before_the_request_has_ended() {
    let backend = backend("b", Behavior::Steady).await;
    let proxy = proxy_to("http2", &[backend]).await;
    let mut client = grpc_client(&proxy).await;
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let messages = tokio_stream::wrappers::ReceiverStream::new(receiver);
    // The headers of the response arrive before the first message of the request.
    let chat = timeout(LIMIT, client.chat(messages))
        .await
        .expect("no hang");
    let mut answers = chat.unwrap().into_inner();
    for text in ["one", "two"] {
        sender.send(message(text)).await.unwrap();
        assert_eq!(answers.message().await.unwrap().unwrap().text, text);
    }
}

/// Starts a backend that hangs on one in `one_in` requests.
async fn sometimes_stuck(one_in: usize) -> SocketAddr {
    let requests = Arc::new(AtomicUsize::new(0));
    server(move |request: Request<Incoming>| {
        let stuck = requests.fetch_add(1, Ordering::SeqCst) % one_in == one_in - 1;
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            if stuck {
                tokio::time::sleep(LIMIT * 2).await;
            }
            Response::new(full(body))
        }
    })
    .await
}

#[tokio::test]
async fn a_request_that_hangs_is_hedged_to_another_endpoint() {
    let (one, other) = (sometimes_stuck(50).await, sometimes_stuck(50).await);
    let config = "[[routes]]\ncluster = \"c\"\nidle_timeout = \"off\"\n\
        hedge = { percentile = 0.9, window = \"500ms\", max_extra_load = 0.1 }\n";
    let proxy = proxy(&format!("{config}{}", cluster("c", "http1", &[one, other]))).await;
    ready_endpoints(&proxy, &[one, other]).await;
    let start = Instant::now();
    let mut answered = 0;
    // Until latencies are known, nothing is hedged, and a request may hang.
    while metric(&proxy, "tower_proxy_hedges_won_total", &[]).await < 3.0 {
        assert!(start.elapsed() < LIMIT, "no hedge came");
        let mut client = http1_client(proxy.address).await;
        for request in [get("/"), idempotent(streamed(4))] {
            let answer = timeout(Duration::from_secs(5), client.send_request(request)).await;
            let Ok(answer) = answer else { break };
            let body = answer
                .unwrap()
                .into_body()
                .collect()
                .await
                .unwrap()
                .to_bytes();
            assert!([0, 4096].contains(&body.len()));
            answered += 1;
        }
    }
    let hedges = metric(&proxy, "tower_proxy_hedges_total", &[]).await;
    assert!(
        hedges <= 0.1 * f64::from(answered),
        "{hedges} of {answered}"
    );
}

/// Returns a body that is sent slowly.
fn slow(chunks: usize) -> RequestBody {
    let s = stream::unfold(0, move |n| async move {
        tokio::time::sleep(Duration::from_millis(10)).await;
        (n < chunks).then(|| {
            (
                Ok::<_, BoxError>(Frame::data(Bytes::from(vec![1; 8192]))),
                n + 1,
            )
        })
    });
    StreamBody::new(Box::pin(s)).boxed_unsync()
}

/// While the retry waits, the server that has responded early continues to read.
#[tokio::test]
async fn an_early_response_is_not_lost_to_a_retry_that_is_impossible() {
    for protocol in ["http1", "http2"] {
        for pieces in [2, 300] {
            let backend = server(|request: Request<Incoming>| async {
                let mut body = request.into_body();
                body.frame().await;
                tokio::spawn(async move { while let Some(Ok(_)) = body.frame().await {} });
                let response = Response::builder().status(503).header("retry-after", "1");
                response.body(full("busy")).unwrap()
            })
            .await;
            let config = "[[routes]]\ncluster = \"c\"\nretry = { max_attempts = 2 }\n";
            let proxy = proxy(&format!("{config}{}", cluster("c", protocol, &[backend]))).await;
            ready_endpoints(&proxy, &[backend]).await;
            let answer = ask(proxy.address, idempotent(slow(pieces))).await;
            assert_eq!(
                (answer.status().as_u16(), answer.body().as_str()),
                (503, "busy")
            );
        }
    }
}
