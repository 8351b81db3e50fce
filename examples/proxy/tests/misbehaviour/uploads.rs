//! Bodies that clients send slowly, malformed or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::StatusCode;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use socket2::SockRef;
use tokio::time::{Instant, timeout};
use tower::BoxError;

use crate::bench::*;
use crate::raw::{self, H2};
use crate::support::*;

/// Returns a body of `pieces` frames, each after a pause.
fn steady(pieces: usize, pause: Duration) -> RequestBody {
    let pieces = stream::iter(0..pieces).then(move |_| async move {
        tokio::time::sleep(pause).await;
        Ok::<_, BoxError>(Frame::data(Bytes::from_static(b"12345")))
    });
    StreamBody::new(pieces).boxed_unsync()
}

#[tokio::test]
async fn the_timeout_of_a_route_counts_from_the_end_of_the_request() {
    let (upstream, _) = upstream().await;
    for protocol in ["http1", "http2"] {
        let cluster = cluster("c", protocol, &[upstream]);
        let proxy = proxy_with("", "timeout = \"500ms\"", &cluster).await;
        let pause = Duration::from_millis(100);
        let (answer, took) = raw::time(ask(proxy.address, post("/", steady(12, pause)))).await;
        assert_eq!(
            (answer.status(), answer.body().as_str()),
            (StatusCode::OK, "60")
        );
        assert!(took > Duration::from_secs(1), "{took:?}");

        let (answer, took) = raw::time(ask(proxy.address, post("/never", steady(12, pause)))).await;
        assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT, "{protocol}");
        assert!(took > Duration::from_millis(1500), "{took:?}");
    }
}

/// The client's own timeout runs while it sends.
#[tokio::test]
async fn the_timeout_of_a_client_counts_from_its_request() {
    let (upstream, _) = upstream().await;
    let proxy = proxy_to("http1", &[upstream]).await;
    let mut request = post("/", steady(100, Duration::from_millis(50)));
    let value = http::HeaderValue::from_static("300");
    request.headers_mut().insert("x-request-timeout-ms", value);
    let (answer, took) = raw::time(ask(proxy.address, request)).await;
    assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
    assert!(took < Duration::from_secs(4), "{took:?}");
}

/// Requests whose bodies do not arrive take neither a permit nor a connection, and get a response in the end.
#[tokio::test]
async fn a_request_takes_a_permit_once_its_body_begins_to_arrive() {
    let (upstream, _) = upstream().await;
    for protocol in ["http1", "http2"] {
        let cluster = cluster("c", protocol, &[upstream]);
        let route = "idle_timeout = \"1s\"\nlimits = { max_in_flight = 2 }";
        let proxy = proxy_with("", route, &cluster).await;
        ready(&proxy).await;
        let sent = metric(&proxy, "tower_proxy_endpoint_requests_total", &[]).await;
        let mut silent = Vec::new();
        for _ in 0..10 {
            let mut client = raw::connect(proxy.address).await;
            let head =
                b"POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 5\r\n\r\n";
            raw::send(&mut client, head).await;
            silent.push(client);
        }
        let mut client = H2::connect(proxy.address, 65_535).await;
        for number in 0..10 {
            client
                .send(&raw::headers(2 * number + 1, "POST", "/", false))
                .await;
        }
        until_in_flight(&proxy, 20).await;
        let now = metric(&proxy, "tower_proxy_endpoint_requests_total", &[]).await;
        assert_eq!(now, sent, "{protocol}: none is forwarded");
        others_are_served("silent uploads", &proxy).await;
        // One whose body begins is forwarded; the others get an error.
        raw::send(&mut silent[0], b"12345").await;
        for (number, client) in silent.iter_mut().enumerate() {
            let answer = raw::read_to_close(client).await;
            let expected: &[u8] = match number {
                0 => b"HTTP/1.1 200",
                _ => b"HTTP/1.1 408",
            };
            assert!(
                answer.starts_with(expected),
                "{number}: {}",
                String::from_utf8_lossy(&answer)
            );
        }
        until_in_flight(&proxy, 0).await;
    }
}

/// A small body can be buffered whole before its request takes a connection; a longer one up to the configured size.
#[tokio::test]
async fn small_bodies_can_be_buffered() {
    let (upstream, _) = upstream().await;
    let route = "limits = { request_buffer_bytes = 1000 }";
    let proxy = &proxy_with("", route, &cluster("c", "http1", &[upstream])).await;
    ready(proxy).await;
    let sent = || async { metric(proxy, "tower_proxy_endpoint_requests_total", &[]).await };
    let (pieces, piece) = tokio::sync::mpsc::unbounded_channel();
    let body = stream::unfold(piece, |mut piece| async {
        let length: usize = piece.recv().await?;
        Some((
            Ok::<_, BoxError>(Frame::data(vec![b'x'; length].into())),
            piece,
        ))
    });
    let body = StreamBody::new(body).boxed_unsync();
    let request = tokio::spawn(ask(proxy.address, post("/", body)));
    until_in_flight(proxy, 1).await;
    pieces.send(999).unwrap();
    tokio::time::sleep(SHORT).await;
    assert_eq!(sent().await, 0.0);
    pieces.send(1).unwrap();
    eventually("it is forwarded", || async { sent().await == 1.0 }).await;
    drop(pieces);
    assert_eq!(request.await.unwrap().body(), "1000");

    let short = ask(
        proxy.address,
        post("/", steady(10, Duration::from_millis(20))),
    )
    .await;
    assert_eq!(short.body(), "50");
}

/// The ways in which a body can fail, and the responses.
#[tokio::test]
async fn a_malformed_body_gets_the_matching_error() {
    let (upstream, _) = upstream().await;
    let chunked = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let trailers = format!(
        "{chunked}1\r\na\r\n0\r\nx-long: {}\r\n\r\n",
        "x".repeat(100_000)
    );
    let many = format!(
        "{chunked}1\r\na\r\n0\r\n{}\r\n",
        "x-many: 1\r\n".repeat(500)
    );
    let table = [
        ("an invalid size", format!("{chunked}zz\r\n"), 400),
        (
            "an invalid size, later",
            format!("{chunked}1\r\na\r\nzz\r\n"),
            400,
        ),
        (
            "a size that is too large",
            format!("{chunked}fffffffffffffffff\r\n"),
            400,
        ),
        (
            "a chunk longer than its size",
            format!("{chunked}1\r\nabc\r\n"),
            400,
        ),
        (
            "an invalid trailer",
            format!("{chunked}1\r\na\r\n0\r\nno colon\r\n\r\n"),
            400,
        ),
        ("long trailers", trailers, 431),
        ("many trailers", many, 431),
        ("silence", format!("{chunked}1\r\na\r\n"), 408),
        ("silence from the beginning", chunked.to_owned(), 408),
    ];
    for protocol in ["http1", "http2"] {
        let cluster = cluster("c", protocol, &[upstream]);
        let proxy = proxy_with("", "idle_timeout = \"400ms\"", &cluster).await;
        ready(&proxy).await;
        for (name, request, status) in &table {
            let mut client = raw::connect(proxy.address).await;
            raw::send(&mut client, request.as_bytes()).await;
            let answer = raw::read_to_close(&mut client).await;
            let answer = String::from_utf8_lossy(&answer);
            let expected = format!("HTTP/1.1 {status} ");
            assert!(
                answer.starts_with(&expected),
                "{name}, {protocol}: {answer}"
            );
            until_in_flight(&proxy, 0).await;
        }
    }
}

/// Uploads that are not read, until they are given up, whether or not the client stays connected.
#[tokio::test]
async fn an_upload_that_is_not_read_is_given_up() {
    let (upstream, _) = upstream().await;
    let long = || full(vec![b'x'; 8 * 1024 * 1024]);
    for protocol in ["http1", "http2"] {
        for key in ["idle_timeout", "body_timeout"] {
            let name = &format!("{protocol}, {key}");
            let cluster = cluster("c", protocol, &[upstream]);
            // No other timeout may end it.
            let route = format!("{key} = \"400ms\"\ntimeout = \"off\"");
            let proxy = proxy_with("", &route, &cluster).await;
            ready(&proxy).await;
            others_are_served(name, &proxy).await;
            let before = tasks();
            let start = Instant::now();
            let answer = timeout(SLACK, ask(proxy.address, post("/unread", long()))).await;
            let answer = answer.unwrap_or_else(|_| panic!("{name}: no answer"));
            assert_eq!(
                answer.status(),
                StatusCode::GATEWAY_TIMEOUT,
                "{name}: {}",
                answer.body()
            );
            freed(name, &proxy, before + 1, start, SHORT).await;
        }
        // Their clients get a response, or disconnect. Nothing more happens then, and no timeout is involved.
        for (path, gone) in [("/early", false), ("/unread", true)] {
            let name = &format!("{protocol}, {path}");
            let route = "timeout = \"off\"";
            let proxy = proxy_with("", route, &cluster("c", protocol, &[upstream])).await;
            ready(&proxy).await;
            others_are_served(name, &proxy).await;
            let before = tasks();
            let mut requests = Vec::new();
            for _ in 0..UPLOADS {
                let mut client = http2_client(proxy.address).await;
                let request = post(path, long());
                requests.push(tokio::spawn(
                    async move { client.send_request(request).await },
                ));
            }
            if gone {
                until_in_flight(&proxy, UPLOADS).await;
                // Until the upstream accepts no more.
                tokio::time::sleep(SHORT).await;
                requests.iter().for_each(|request| request.abort());
            } else {
                for request in requests {
                    assert_eq!(request.await.unwrap().unwrap().status(), StatusCode::OK);
                }
            }
            let left = before + UPLOADS / 2;
            freed(name, &proxy, left, Instant::now(), Duration::ZERO).await;
        }
    }
}

const UPLOADS: usize = 8;

/// An HTTP/1.1 client that disconnects while its upload is not read is detected long before any timeout, though its
/// connection is not read either.
#[tokio::test]
async fn a_client_that_disconnects_during_an_upload_is_detected() {
    let (upstream, _) = upstream().await;
    for protocol in ["http1", "http2"] {
        let name = &format!("an upload is left, {protocol}");
        let route = "timeout = \"off\"\nidle_timeout = \"1h\"";
        let proxy = proxy_with("", route, &cluster("c", protocol, &[upstream])).await;
        ready(&proxy).await;
        others_are_served(name, &proxy).await;
        let before = tasks();
        let mut client = raw::connect(proxy.address).await;
        let head = b"POST /unread HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000000\r\n\r\n";
        raw::send(&mut client, head).await;
        let sending = async {
            loop {
                raw::send(&mut client, &[b'x'; 16 * 1024]).await;
            }
        };
        // Until no more bytes are accepted, as far as can be told.
        let _ = timeout(5 * SHORT, sending).await;
        until_in_flight(&proxy, 1).await;
        // Unsent data is discarded, and a reset is sent.
        SockRef::from(&client)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(client);
        freed(name, &proxy, before + 1, Instant::now(), Duration::ZERO).await;
    }
}

/// A client that only sends more slowly than it is read is still connected.
#[tokio::test]
async fn a_client_that_is_checked_and_connected_is_not_disconnected() {
    let (upstream, _) = upstream().await;
    let proxy = proxy_with("", "", &cluster("c", "http1", &[upstream])).await;
    ready(&proxy).await;
    let answer = ask(
        proxy.address,
        post("/", steady(30, Duration::from_millis(100))),
    )
    .await;
    assert_eq!(
        (answer.status(), answer.body().as_str()),
        (StatusCode::OK, "150")
    );
}

/// Uploads of an HTTP/2 client that an upstream does not read leave its connection usable for others.
#[tokio::test]
async fn unread_uploads_do_not_block_others() {
    let (upstream, _) = upstream().await;
    for protocol in ["http1", "http2"] {
        let proxy = proxy_to(protocol, &[upstream]).await;
        ready(&proxy).await;
        let client = http2_client(proxy.address).await;
        let sent = Arc::new(AtomicUsize::new(0));
        let stalled: Vec<_> = (0..20)
            .map(|_| {
                let (mut client, sent) = (client.clone(), Arc::clone(&sent));
                let pieces = stream::repeat_with(move || {
                    sent.fetch_add(1, Ordering::SeqCst);
                    Ok::<_, BoxError>(Frame::data(Bytes::from_static(&[b'x'; 16 * 1024])))
                });
                let body = StreamBody::new(pieces).boxed_unsync();
                tokio::spawn(async move { client.send_request(post("/unread", body)).await })
            })
            .collect();
        until_in_flight(&proxy, 20).await;
        // All that they can send has been sent: the buffers of all sockets on the path are full.
        let mut before = 0;
        while before == 0 || before != sent.load(Ordering::SeqCst) {
            before = sent.load(Ordering::SeqCst);
            tokio::time::sleep(SHORT).await;
        }
        let mut client = client.clone();
        let length = 300_000;
        let answer = client.send_request(post("/", full(vec![b'x'; length])));
        let answer = timeout(SLACK, answer)
            .await
            .expect("it does not wait")
            .unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, length.to_string(), "{protocol}");
        stalled.into_iter().for_each(|request| request.abort());
    }
}
