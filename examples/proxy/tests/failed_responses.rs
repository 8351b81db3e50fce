//! The responses that the metrics of an endpoint show as failed, by HTTP status and by gRPC status.

mod support;

use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, Request, Response, Version};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use support::*;
use tower::BoxError;

const KINDS: [&str; 4] = ["internal", "unavailable", "timeout", "overloaded"];

/// Returns the number of failed responses by kind, in the order of [`KINDS`].
async fn failed(proxy: &Proxy) -> [f64; 4] {
    let mut failed = [0.0; 4];
    for (count, kind) in failed.iter_mut().zip(KINDS) {
        let name = "tower_proxy_endpoint_failed_responses_total";
        *count = metric(proxy, name, &[&format!("kind=\"{kind}\"")]).await;
    }
    failed
}

/// Starts a backend that responds as the path says: `/head/14`, `/trailers/14`, `/bare/14`, `/none/0`, `/endless/0`, or `/http/503`.
async fn backend() -> SocketAddr {
    server(|request: Request<Incoming>| async move {
        let path = request.uri().path().to_owned();
        let (what, code) = path[1..].split_once('/').unwrap();
        let status = HeaderMap::from_iter([(
            http::HeaderName::from_static("grpc-status"),
            code.parse().unwrap(),
        )]);
        let data = stream::iter([Ok::<_, BoxError>(Frame::data(Bytes::from("message")))]);
        let body = match what {
            "head" | "http" => empty(),
            "trailers" => {
                StreamBody::new(data.chain(stream::iter([Ok(Frame::trailers(status.clone()))])))
                    .boxed_unsync()
            }
            "bare" => {
                let trailers = stream::iter([Ok(Frame::trailers(status.clone()))]);
                StreamBody::new(trailers).boxed_unsync()
            }
            "endless" => StreamBody::new(data.chain(stream::pending())).boxed_unsync(),
            _ => StreamBody::new(data).boxed_unsync(),
        };
        let mut response = Response::new(body);
        match what {
            "http" => *response.status_mut() = code.parse().unwrap(),
            "head" => *response.headers_mut() = status,
            _ => {}
        }
        if let Some(content_type) = request.headers().get("content-type") {
            let headers = response.headers_mut();
            headers.insert("content-type", content_type.clone());
        }
        response
    })
    .await
}

/// Starts a proxy in front of the backend that neither retries nor ejects.
async fn start() -> Proxy {
    let cluster = cluster("c", "http2", &[backend().await]);
    proxy(&format!(
        "[[routes]]\ncluster = \"c\"\nretry = {{ max_attempts = 1 }}\n{cluster}\
         outlier_detection = {{ enabled = false }}\n"
    ))
    .await
}

fn request(path: &str, content_type: &str) -> Request<RequestBody> {
    Request::post(format!("http://test.example{path}"))
        .version(Version::HTTP_2)
        .header("content-type", content_type)
        .header("te", "trailers")
        .body(full("message"))
        .unwrap()
}

/// Sends a request and reads the whole response.
async fn send(proxy: &Proxy, path: &str, content_type: &str) {
    let mut client = http2_client(proxy.address).await;
    let response = client.send_request(request(path, content_type)).await;
    // A broken response is an error of the body; the proxy's metrics say what matters here.
    let _ = response.unwrap().into_body().collect().await;
}

#[tokio::test]
async fn failing_statuses_are_counted_by_kind() {
    for (path, content_type, kind) in [
        ("/http/200", "text/plain", None),
        ("/http/404", "text/plain", None),
        ("/http/500", "text/plain", Some("internal")),
        ("/http/503", "text/plain", Some("unavailable")),
        ("/http/504", "text/plain", Some("timeout")),
        ("/http/429", "text/plain", Some("overloaded")),
        ("/head/0", "application/grpc", None),
        // CANCELLED and NOT_FOUND say nothing bad about the endpoint.
        ("/head/1", "application/grpc", None),
        ("/head/5", "application/grpc", None),
        ("/head/14", "application/grpc", Some("unavailable")),
        ("/trailers/0", "application/grpc+proto", None),
        ("/trailers/5", "application/grpc", None),
        ("/trailers/4", "application/grpc", Some("timeout")),
        ("/trailers/8", "application/grpc", Some("overloaded")),
        ("/trailers/13", "application/grpc", Some("internal")),
        ("/trailers/14", "application/grpc", Some("unavailable")),
        // Without a message: the trailers may arrive together with the head.
        ("/bare/0", "application/grpc", None),
        ("/bare/14", "application/grpc", Some("unavailable")),
        // Without a status: UNKNOWN.
        ("/none/0", "application/grpc", Some("internal")),
        // gRPC-Web sends its trailers in the body.
        ("/none/0", "application/grpc-web", None),
        // Not a gRPC call, so the field means nothing.
        ("/trailers/14", "text/plain", None),
    ] {
        let proxy = start().await;
        send(&proxy, path, content_type).await;
        let expected = KINDS.map(|it| f64::from(kind == Some(it)));
        assert_eq!(failed(&proxy).await, expected, "{path} {content_type}");
        let state = ask(proxy.admin, get("/state")).await.into_body();
        let state: serde_json::Value = serde_json::from_str(&state).unwrap();
        let shown = &state["metrics"]["clusters"][0]["endpoints"][0];
        assert_eq!(shown["failed_responses"], u64::from(kind.is_some()));
        assert_eq!(shown["failures"], 0, "there was a response: {path}");
    }
}

/// The end of a call that its client cancels is not known.
#[tokio::test]
async fn a_call_that_is_cancelled_is_not_a_failed_response() {
    let proxy = start().await;
    let mut client = http2_client(proxy.address).await;
    let response = client.send_request(request("/endless/0", "application/grpc"));
    let mut body = response.await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    drop((client, body));
    eventually("the request is over", || async {
        metric(&proxy, "tower_proxy_requests_in_flight", &["route=\"/\""]).await == 0.0
    })
    .await;
    assert_eq!(failed(&proxy).await, [0.0; 4]);
}
