//! How gRPC calls end that the server does not end: deadlines, failures, and gRPC-Web.

mod support;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use support::*;
use tokio::time::{Instant, timeout};
use tonic::Code;
use tower::BoxError;
use tower_proxy::demo::pb::Message;

/// An empty gRPC message.
const MESSAGE: &[u8] = &[0, 0, 0, 0, 0];

/// Starts a gRPC server whose response has these frames and stays open after them.
async fn streams(
    frames: impl Fn() -> Vec<Result<Frame<Bytes>, BoxError>> + Clone + Send + Sync + 'static,
) -> SocketAddr {
    server(move |_request: Request<Incoming>| {
        let frames = stream::iter(frames()).chain(stream::pending());
        async move {
            let mut response = Response::new(StreamBody::new(frames));
            response
                .headers_mut()
                .insert("content-type", HeaderValue::from_static("application/grpc"));
            response
        }
    })
    .await
}

fn one_message() -> Vec<Result<Frame<Bytes>, BoxError>> {
    vec![Ok(Frame::data(Bytes::from_static(MESSAGE)))]
}

async fn proxy_with(route: &str, upstream: SocketAddr) -> Proxy {
    proxy(&format!(
        "[[routes]]\ncluster = \"c\"\n{route}\n{}",
        cluster("c", "http2", &[upstream])
    ))
    .await
}

/// Returns the status that ends a call after one message was received.
async fn end_of_stream(proxy: &Proxy, request: impl tonic::IntoRequest<Message>) -> tonic::Status {
    let mut answers = grpc_client(proxy)
        .await
        .repeat(request)
        .await
        .expect("the head arrives")
        .into_inner();
    answers
        .message()
        .await
        .unwrap()
        .expect("the message arrives");
    let end = timeout(LIMIT, answers.message()).await.expect("it ends");
    end.expect_err("it fails")
}

#[tokio::test]
async fn the_deadline_of_a_route_is_deadline_exceeded_after_the_head() {
    let upstream = streams(one_message).await;
    for route in [
        "timeout = \"300ms\"",
        "idle_timeout = \"300ms\"",
        "body_timeout = \"300ms\"",
    ] {
        let proxy = proxy_with(route, upstream).await;
        let status = end_of_stream(&proxy, Message::default()).await;
        assert_eq!(status.code(), Code::DeadlineExceeded, "{route}: {status:?}");
        let failures = metric(
            &proxy,
            "tower_proxy_failures_total",
            &["route=\"/\"", "reason=\"response_timeout\""],
        );
        assert_eq!(failures.await, 1.0, "{route}");
    }
}

/// The deadline is sent in the header only: this client does not enforce it itself.
#[tokio::test]
async fn the_deadline_of_a_client_is_deadline_exceeded_after_the_head() {
    let proxy = proxy_with("", streams(one_message).await).await;
    let response = grpc_call(&proxy, "application/grpc", Some("300m")).await;
    assert_eq!(response.status(), StatusCode::OK);
    let body = timeout(LIMIT, response.into_body().collect())
        .await
        .unwrap();
    let trailers = body.unwrap().trailers().cloned().unwrap();
    assert_eq!(trailers["grpc-status"], "4");
    assert_eq!(
        trailers["grpc-message"],
        "the upstream did not answer in time"
    );
}

/// If an upstream disconnects, the client may retry, which UNAVAILABLE tells it.
#[tokio::test]
async fn an_upstream_that_breaks_after_the_head_is_unavailable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                if let Some(Ok((_request, mut respond))) = connection.accept().await {
                    let response = Response::builder()
                        .header("content-type", "application/grpc")
                        .body(())
                        .unwrap();
                    let mut body = respond.send_response(response, false).unwrap();
                    body.send_data(Bytes::from_static(MESSAGE), false).unwrap();
                    // Time for the frames to be written; then the connection ends without a GOAWAY.
                    let flush = std::future::poll_fn(|cx| connection.poll_closed(cx));
                    let _ = timeout(Duration::from_millis(200), flush).await;
                }
            });
        }
    });
    let proxy = proxy_with("", upstream).await;
    let status = end_of_stream(&proxy, Message::default()).await;
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    server.abort();
}

/// A server that resets a stream gives a reason, which the client gets.
#[tokio::test]
async fn the_reset_of_an_upstream_passes_with_its_code() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((_request, mut respond))) = connection.accept().await {
            let response = Response::builder()
                .header("content-type", "application/grpc")
                .body(())
                .unwrap();
            let mut body = respond.send_response(response, false).unwrap();
            body.send_data(Bytes::from_static(MESSAGE), false).unwrap();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(100)).await;
                body.send_reset(h2::Reason::CANCEL);
            });
        }
    });
    let proxy = proxy_with("", upstream).await;
    let status = end_of_stream(&proxy, Message::default()).await;
    assert_eq!(status.code(), Code::Cancelled, "{status:?}");
}

/// While the server sends, a client may be silent for longer than `idle_timeout`.
#[tokio::test]
async fn a_call_is_idle_only_if_neither_side_sends() {
    let upstream = server(|_request: Request<Incoming>| {
        let messages = stream::iter(0..12).then(|i| async move {
            tokio::time::sleep(Duration::from_millis(500)).await;
            Ok::<_, Infallible>(match i {
                11 => Frame::trailers(HeaderMap::from_iter([(
                    "grpc-status".parse().unwrap(),
                    HeaderValue::from_static("0"),
                )])),
                _ => Frame::data(Bytes::from_static(MESSAGE)),
            })
        });
        let mut response = Response::new(StreamBody::new(Box::pin(messages)));
        let grpc = HeaderValue::from_static("application/grpc");
        response.headers_mut().insert("content-type", grpc);
        std::future::ready(response)
    })
    .await;
    let proxy = proxy_with("idle_timeout = \"3s\"", upstream).await;
    let (_sender, silent) = tokio::sync::mpsc::channel(1);
    let silent = tokio_stream::wrappers::ReceiverStream::new(silent);
    let mut client = grpc_client(&proxy).await;
    let mut answers = client.chat(silent).await.unwrap().into_inner();
    for _ in 0..11 {
        answers.message().await.unwrap().expect("a message");
    }
    assert!(answers.message().await.unwrap().is_none());
}

/// No route limits the duration of a call, and the defaults limit other requests only.
#[tokio::test]
async fn a_stream_outlives_the_default_timeout_of_15_s() {
    let upstream = server(|_request: Request<Incoming>| {
        let messages = stream::iter([(0, false), (17, false), (0, true)]).then(
            |(seconds, is_last)| async move {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                Ok::<_, Infallible>(match is_last {
                    false => Frame::data(Bytes::from_static(MESSAGE)),
                    true => Frame::trailers(HeaderMap::from_iter([(
                        "grpc-status".parse().unwrap(),
                        HeaderValue::from_static("0"),
                    )])),
                })
            },
        );
        async move {
            let mut response = Response::new(StreamBody::new(Box::pin(messages)));
            response
                .headers_mut()
                .insert("content-type", HeaderValue::from_static("application/grpc"));
            response
        }
    })
    .await;
    let proxy = proxy_with("", upstream).await;
    let mut answers = grpc_client(&proxy)
        .await
        .repeat(Message::default())
        .await
        .unwrap()
        .into_inner();
    for _ in 0..2 {
        answers.message().await.unwrap().expect("a message");
    }
    assert!(answers.message().await.unwrap().is_none());
}

/// Whether the upstream gets a deadline shows whether there is one.
#[tokio::test]
async fn only_the_client_or_the_route_sets_a_deadline_for_a_call() {
    let upstream = server(|request: Request<Incoming>| async move {
        let told = request.headers().get("grpc-timeout").cloned();
        let mut response = Response::new(empty());
        if let Some(told) = told {
            response.headers_mut().insert("told", told);
        }
        response
    })
    .await;
    for (route, asked, expected) in [
        ("", None, None),
        ("", Some("3600S"), Some(3600)),
        ("timeout = \"20s\"", None, Some(20)),
        ("timeout = \"20s\"", Some("3600S"), Some(20)),
        ("timeout = \"20s\"", Some("10S"), Some(10)),
        ("timeout = \"off\"", None, None),
        ("timeout = \"off\"", Some("3600S"), Some(3600)),
    ] {
        let proxy = proxy_with(route, upstream).await;
        for content_type in [
            "application/grpc",
            "application/grpc+proto",
            "application/grpc-web",
        ] {
            let response = grpc_call(&proxy, content_type, asked).await;
            let told = response.headers().get("told").map(|told| {
                let told = told.to_str().unwrap();
                let (number, unit) = told.split_at(told.len() - 1);
                let number: f64 = number.parse().unwrap();
                match unit {
                    "u" => number / 1e6,
                    "m" => number / 1e3,
                    _ => number,
                }
            });
            match (told, expected) {
                (None, None) => {}
                (Some(told), Some(most)) if told <= most.into() && told > f64::from(most) / 2.0 => {
                }
                _ => panic!("{route}, {content_type}, {asked:?}: told {told:?}"),
            }
        }
    }
}

async fn grpc_call(
    proxy: &Proxy,
    content_type: &'static str,
    grpc_timeout: Option<&'static str>,
) -> Response<Incoming> {
    let mut request = post("/demo.Echo/Repeat", full(MESSAGE));
    *request.uri_mut() = "http://test.example/demo.Echo/Repeat".parse().unwrap();
    let headers = request.headers_mut();
    headers.insert("content-type", HeaderValue::from_static(content_type));
    if let Some(grpc_timeout) = grpc_timeout {
        headers.insert("grpc-timeout", HeaderValue::from_static(grpc_timeout));
    }
    let mut client = http2_client(proxy.address).await;
    timeout(LIMIT, client.send_request(request))
        .await
        .unwrap()
        .unwrap()
}

/// The head of a server stream arrives when the server sends it, though its first message may come much later.
#[tokio::test]
async fn the_head_of_a_stream_is_not_held_back() {
    let proxy = proxy_with("", streams(Vec::new).await).await;
    grpc_call(&proxy, "application/grpc", None).await;
    let mut fastest = Duration::MAX;
    for _ in 0..10 {
        let start = Instant::now();
        grpc_call(&proxy, "application/grpc", None).await;
        fastest = fastest.min(start.elapsed());
    }
    assert!(fastest < Duration::from_millis(500), "{fastest:?}");
}

/// A gRPC-Web client cannot read everything that a gRPC client can, in particular no trailers.
#[tokio::test]
async fn grpc_web_calls_get_grpc_web_errors() {
    let config = format!(
        "[[routes]]\npath = \"/elsewhere\"\ncluster = \"c\"\n{}",
        cluster("c", "http2", &[unused_address().await])
    );
    let proxy = proxy(&config).await;
    for (asked, answered) in [
        ("application/grpc-web", Some("application/grpc-web")),
        ("application/grpc-web+proto", Some("application/grpc-web")),
        (
            "application/grpc-web-text",
            Some("application/grpc-web-text"),
        ),
        (
            "application/grpc-web-text+proto",
            Some("application/grpc-web-text"),
        ),
        ("application/grpc", Some("application/grpc")),
        ("application/grpc+json", Some("application/grpc")),
        ("application/grpcx", None),
        ("application/json", None),
    ] {
        let response = grpc_call(&proxy, asked, None).await;
        let headers = response.headers();
        match answered {
            Some(answered) => {
                assert_eq!(response.status(), StatusCode::OK, "{asked}");
                assert_eq!(headers["content-type"], answered, "{asked}");
                assert_eq!(headers["grpc-status"], "12", "{asked}");
            }
            None => {
                assert_eq!(response.status(), StatusCode::NOT_FOUND, "{asked}");
                assert_eq!(headers["content-type"], "text/plain; charset=utf-8");
                assert!(!headers.contains_key("grpc-status"), "{asked}");
            }
        }
    }
}
