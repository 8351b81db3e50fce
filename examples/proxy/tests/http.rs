//! HTTP/1.1 and HTTP/2 through the proxy, to upstreams of either version.

mod support;

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use support::*;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tower::BoxError;
use tower_proxy::demo::Behavior;

const PROTOCOLS: [&str; 2] = ["http1", "http2"];

/// Sends `request` over HTTP/1.1 or HTTP/2.
async fn send(
    proxy: &Proxy,
    version: Version,
    request: Request<RequestBody>,
) -> Response<Incoming> {
    if version == Version::HTTP_2 {
        let (mut head, body) = request.into_parts();
        head.uri = format!("http://test.example{}", head.uri).parse().unwrap();
        head.headers.remove("host");
        http2_client(proxy.address)
            .await
            .send_request(Request::from_parts(head, body))
            .await
            .unwrap()
    } else {
        http1_client(proxy.address)
            .await
            .send_request(request)
            .await
            .unwrap()
    }
}

async fn text(response: Response<Incoming>) -> String {
    String::from_utf8(
        response
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .to_vec(),
    )
    .unwrap()
}

#[tokio::test]
async fn both_versions_of_http_on_one_port_reach_upstreams_of_both() {
    for upstream in PROTOCOLS {
        let proxy = proxy_to(upstream, &[backend("b", Behavior::Steady).await]).await;
        for version in [Version::HTTP_11, Version::HTTP_2] {
            let response = send(&proxy, version, get("/path?query")).await;
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(response.version(), version);
            assert_eq!(response.headers()["x-backend"], "b");
            assert_eq!(text(response).await, "GET /path answered by b\n");
        }
    }
}

#[tokio::test]
async fn a_large_body_comes_back_whole() {
    let sent: Bytes = (0..8 * 1024 * 1024_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    for upstream in PROTOCOLS {
        let proxy = proxy_to(upstream, &[backend("b", Behavior::Steady).await]).await;
        for version in [Version::HTTP_11, Version::HTTP_2] {
            let response = send(&proxy, version, post("/", full(sent.clone()))).await;
            let received = response.into_body().collect().await.unwrap().to_bytes();
            assert!(
                received == sent,
                "{upstream} {version:?}: {} bytes of {}",
                received.len(),
                sent.len()
            );
        }
    }
}

#[tokio::test]
async fn frames_pass_both_ways_before_either_side_has_ended() {
    for upstream in PROTOCOLS {
        let proxy = proxy_to(upstream, &[backend("b", Behavior::Steady).await]).await;
        let (sender, body) = channel_body();
        sender
            .send(Ok(Frame::data(Bytes::from_static(b"one"))))
            .await
            .unwrap();
        let mut response = send(&proxy, Version::HTTP_2, post("/", body))
            .await
            .into_body();
        assert_eq!(next_data(&mut response).await, "one");
        sender
            .send(Ok(Frame::data(Bytes::from_static(b"two"))))
            .await
            .unwrap();
        assert_eq!(next_data(&mut response).await, "two");
        drop(sender);
        assert!(response.collect().await.unwrap().to_bytes().is_empty());
    }
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    for upstream in PROTOCOLS {
        let proxy = proxy_to(upstream, &[backend("b", Behavior::Steady).await]).await;
        for version in [Version::HTTP_11, Version::HTTP_2] {
            // The echo returns the request's trailers.
            let echo = server(|request: Request<Incoming>| async {
                let mut response = Response::new(request.into_body());
                response
                    .headers_mut()
                    .insert("trailer", HeaderValue::from_static("x-checksum"));
                response
            });
            let proxy_to_echo = proxy_to(upstream, &[echo.await]).await;
            let (sender, body) = channel_body();
            sender
                .send(Ok(Frame::data(Bytes::from_static(b"body"))))
                .await
                .unwrap();
            let trailers = HeaderMap::from_iter([(
                "x-checksum".parse().unwrap(),
                HeaderValue::from_static("42"),
            )]);
            sender.send(Ok(Frame::trailers(trailers))).await.unwrap();
            drop(sender);
            let mut request = post("/", body);
            request
                .headers_mut()
                .insert("te", HeaderValue::from_static("trailers"));
            request
                .headers_mut()
                .insert("trailer", HeaderValue::from_static("x-checksum"));
            let collected = send(&proxy_to_echo, version, request)
                .await
                .into_body()
                .collect()
                .await
                .unwrap();
            let trailers = collected
                .trailers()
                .unwrap_or_else(|| panic!("{upstream} {version:?}: no trailers"));
            assert_eq!(trailers["x-checksum"], "42");
        }
        drop(proxy);
    }
}

/// A backend that does not read stops the client from sending, before the proxy has buffered much.
#[tokio::test]
async fn a_slow_reader_slows_the_sender() {
    for upstream in PROTOCOLS {
        let stalled = server(|request: Request<Incoming>| async move {
            let body = request.into_body();
            std::future::pending::<()>().await;
            drop(body);
            Response::new(empty())
        });
        let proxy = proxy_to(upstream, &[stalled.await]).await;
        let mut client = TcpStream::connect(proxy.address).await.unwrap();
        client
            .write_all(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
            .await
            .unwrap();
        let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
        let mut sent = 0;
        // The kernel's loopback buffers hold some megabytes.
        while sent < 64 * 1024 * 1024 {
            let write = client.write_all(&chunk);
            if tokio::time::timeout(std::time::Duration::from_secs(1), write)
                .await
                .is_err()
            {
                break;
            }
            sent += chunk.len();
        }
        assert!(
            sent < 64 * 1024 * 1024,
            "{upstream}: the proxy accepted {sent} bytes that were not read"
        );
    }
}

#[tokio::test]
async fn requests_go_where_host_and_path_say() {
    let (a, b) = (
        backend("a", Behavior::Steady).await,
        backend("b", Behavior::Steady).await,
    );
    let proxy = proxy(&format!(
        "[[routes]]\nhost = \"a.example\"\ncluster = \"a\"\n[[routes]]\npath = \"/b\"\ncluster = \"b\"\n{}{}",
        cluster("a", "http1", &[a]),
        cluster("b", "http1", &[b])
    ))
    .await;
    let ask = |host: &'static str, path: &'static str| {
        let request = Request::builder()
            .uri(path)
            .header("host", host)
            .body(empty())
            .unwrap();
        ask(proxy.address, request)
    };
    assert_eq!(
        ask("a.example", "/b").await.body(),
        "GET /b answered by a\n"
    );
    assert_eq!(
        ask("b.example", "/b/c").await.body(),
        "GET /b/c answered by b\n"
    );
    let unknown = ask("b.example", "/c").await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    assert_eq!(unknown.body(), "no route for this host and path\n");
}

#[tokio::test]
async fn the_upstream_gets_the_client_and_the_host() {
    let show = server(|request: Request<Incoming>| async move {
        let header = |name| {
            request
                .headers()
                .get(name)
                .map_or("-", |value| value.to_str().unwrap())
        };
        let authority = request
            .uri()
            .authority()
            .map_or_else(|| header("host"), |authority| authority.as_str());
        Response::new(full(format!(
            "{authority} {} {}",
            header("x-forwarded-for"),
            header("x-forwarded-proto")
        )))
    });
    let show = show.await;
    for upstream in PROTOCOLS {
        let proxy = proxy_to(upstream, &[show]).await;
        for version in [Version::HTTP_11, Version::HTTP_2] {
            let seen = text(send(&proxy, version, get("/")).await).await;
            assert_eq!(
                seen, "test.example 127.0.0.1 http",
                "{upstream} {version:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_head_request_and_an_empty_response_keep_the_connection() {
    let proxy = proxy_to("http1", &[backend("b", Behavior::Steady).await]).await;
    let mut client = http1_client(proxy.address).await;
    for method in [Method::HEAD, Method::GET, Method::HEAD, Method::GET] {
        let mut request = get("/");
        *request.method_mut() = method.clone();
        client.ready().await.unwrap();
        let response = client.send_request(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(text(response).await.is_empty(), method == Method::HEAD);
    }
}

#[tokio::test]
async fn garbage_gets_an_error_and_affects_no_other_client() {
    let proxy = proxy_to("http1", &[backend("b", Behavior::Steady).await]).await;
    let requests: [&[u8]; 5] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: \xff\xfe\r\n\r\n",
        b"CONNECT a.example:443 HTTP/1.1\r\nhost: a.example\r\n\r\n",
    ];
    for request in requests {
        let mut client = TcpStream::connect(proxy.address).await.unwrap();
        client.write_all(request).await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = tokio::io::AsyncReadExt::read_to_end(&mut client, &mut answer).await;
    }
    assert_eq!(ask(proxy.address, get("/")).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn an_idle_connection_that_the_upstream_closed_is_replaced_without_an_error() {
    // A backend that serves one request per connection, without announcing that it will close.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = vec![0; 4096];
                if tokio::io::AsyncReadExt::read(&mut stream, &mut head)
                    .await
                    .is_ok_and(|n| n > 0)
                {
                    let _ = stream
                        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                        .await;
                }
            });
        }
    });
    let proxy = proxy_to("http1", &[address]).await;
    for _ in 0..20 {
        assert_eq!(ask(proxy.address, get("/")).await.status(), StatusCode::OK);
    }
}

struct ChannelBody(mpsc::Receiver<Result<Frame<Bytes>, BoxError>>);

fn channel_body() -> (mpsc::Sender<Result<Frame<Bytes>, BoxError>>, RequestBody) {
    let (sender, receiver) = mpsc::channel(4);
    (sender, ChannelBody(receiver).boxed_unsync())
}

impl Body for ChannelBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.poll_recv(cx)
    }
}

async fn next_data(body: &mut Incoming) -> Bytes {
    body.frame().await.unwrap().unwrap().into_data().unwrap()
}
