//! The time limits of requests and bodies, as set by clients and the configuration.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use support::*;
use tokio::time::timeout;
use tower::BoxError;
use tower_proxy::demo::Behavior;

fn with_header(name: &'static str, value: &'static str) -> Request<RequestBody> {
    let mut request = get("/");
    request
        .headers_mut()
        .insert(name, HeaderValue::from_static(value));
    request
}

#[tokio::test]
async fn a_client_sets_its_timeout() {
    let slow = backend("slow", Behavior::Slow(LIMIT)).await;
    let proxy = proxy_to("http1", &[slow]).await;
    for value in ["100", "0"] {
        let answer = timeout(
            LIMIT / 2,
            ask(proxy.address, with_header("x-request-timeout-ms", value)),
        )
        .await;
        assert_eq!(
            answer.expect("no hang").status(),
            StatusCode::GATEWAY_TIMEOUT
        );
    }
    let sent = metric(&proxy, "tower_proxy_endpoint_requests_total", &[]).await;
    assert_eq!(sent, 1.0, "a request without time left is not sent");

    let answer = ask(proxy.address, with_header("x-request-timeout-ms", "soon")).await;
    assert_eq!(
        (answer.status(), answer.body().as_str()),
        (
            StatusCode::BAD_REQUEST,
            "the timeout in the request's headers cannot be read\n"
        )
    );
}

/// Starts an upstream that records the headers of its requests.
async fn keeps_headers() -> (std::net::SocketAddr, Arc<Mutex<Vec<HeaderMap>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    let address = server(move |request: Request<Incoming>| {
        kept.lock().unwrap().push(request.headers().clone());
        async { Response::new(empty()) }
    })
    .await;
    (address, seen)
}

#[tokio::test]
async fn the_upstream_gets_the_remaining_time_and_never_more() {
    let (upstream, seen) = keeps_headers().await;
    let config = format!(
        "[[routes]]\ncluster = \"c\"\ntimeout = \"10s\"\ntimeout_header = \"x-wait\"\n{}",
        cluster("c", "http1", &[upstream])
    );
    let proxy = proxy(&config).await;
    for (request, most) in [
        (with_header("x-wait", "5000"), 5_000),
        (with_header("x-wait", "50000"), 10_000),
        (get("/"), 10_000),
    ] {
        ask(proxy.address, request).await;
        let headers = seen.lock().unwrap().pop().unwrap();
        let told: u64 = headers["x-wait"].to_str().unwrap().parse().unwrap();
        assert!(told <= most && told + 5_000 > most, "{told} of {most}");
    }
    let mut grpc = with_header("grpc-timeout", "2S");
    grpc.headers_mut()
        .insert("content-type", HeaderValue::from_static("application/grpc"));
    ask(proxy.address, grpc).await;
    let headers = seen.lock().unwrap().pop().unwrap();
    let told = headers["grpc-timeout"]
        .to_str()
        .unwrap()
        .strip_suffix('u')
        .unwrap();
    assert!(told.parse::<u64>().unwrap() <= 2_000_000, "{told}");
}

/// Returns a body that begins and does not continue.
fn stalling(started: &'static str) -> RequestBody {
    let first = stream::iter([Ok::<_, BoxError>(Frame::data(Bytes::from(started)))]);
    StreamBody::new(first.chain(stream::pending())).boxed_unsync()
}

#[tokio::test]
async fn a_response_that_stalls_is_given_up() {
    let upstream =
        server(|_request: Request<Incoming>| async { Response::new(stalling("begun")) }).await;
    for protocol in ["http1", "http2"] {
        let config = format!(
            "[[routes]]\ncluster = \"c\"\nidle_timeout = \"100ms\"\n{}",
            cluster("c", protocol, &[upstream])
        );
        let proxy = proxy(&config).await;
        let response = http1_client(proxy.address)
            .await
            .send_request(get("/"))
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let end = timeout(LIMIT, response.into_body().collect())
            .await
            .expect("no hang");
        assert!(
            end.is_err(),
            "the truncated body is not taken for a complete one"
        );
        eventually("the request is over", || async {
            metric(&proxy, "tower_proxy_requests_in_flight", &[]).await == 0.0
        })
        .await;
    }
}

#[tokio::test]
async fn a_client_that_stalls_gets_408_and_the_upstream_no_complete_body() {
    let whole = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&whole);
    let upstream = server(move |request: Request<Incoming>| {
        let whole = Arc::clone(&counter);
        async move {
            if request.into_body().collect().await.is_ok() {
                whole.fetch_add(1, Ordering::SeqCst);
            }
            Response::new(empty())
        }
    })
    .await;
    for key in ["idle_timeout", "upload_idle_timeout", "body_timeout"] {
        for protocol in ["http1", "http2"] {
            let config = format!(
                "[[routes]]\ncluster = \"c\"\n{key} = \"100ms\"\n{}",
                cluster("c", protocol, &[upstream])
            );
            let proxy = proxy(&config).await;
            let answer = timeout(LIMIT, ask(proxy.address, post("/", stalling("begun")))).await;
            let answer = answer.expect("no hang");
            assert_eq!(
                answer.status(),
                StatusCode::REQUEST_TIMEOUT,
                "{protocol}: {}",
                answer.body()
            );
        }
    }
    assert_eq!(whole.load(Ordering::SeqCst), 0);
}

/// The client's timeout limits all work for its request, including retries and delays.
#[tokio::test]
async fn no_retry_outlives_the_deadline() {
    let down = backend("down", Behavior::Flaky { one_in: 1 }).await;
    let config = format!(
        "[[routes]]\ncluster = \"c\"\nretry = {{ initial_backoff = \"20s\", max_backoff = \"20s\" }}\n{}",
        cluster("c", "http1", &[down])
    );
    let proxy = proxy(&config).await;
    let mut late = 0;
    for _ in 0..20 {
        let answer = ask(proxy.address, with_header("x-request-timeout-ms", "200")).await;
        // If the delay would exceed the remaining time, the existing response is returned instead.
        late += usize::from(answer.status() != StatusCode::SERVICE_UNAVAILABLE);
    }
    assert!(late <= 3, "{late} of 20 waited for nothing");
    assert_eq!(
        metric(&proxy, "tower_proxy_requests_in_flight", &[]).await,
        0.0
    );
}
