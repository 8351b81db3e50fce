//! Connections without activity, on both sides.

use std::time::Duration;

use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bench::*;
use crate::raw::{self, H2};
use crate::support::*;

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// What a client sends before it falls silent, in one piece or byte by byte, and which timeout limits it.
#[tokio::test]
async fn silent_clients_are_disconnected() {
    let half_preface = &raw::PREFACE[..10];
    let settings = raw::frame(raw::SETTINGS, 0, 0, &[]);
    let http2 = [raw::PREFACE, &settings].concat();
    let half_a_frame = [
        raw::PREFACE,
        &settings,
        &raw::headers(1, "GET", "/", true)[..12],
    ]
    .concat();
    // Name; what is sent in one piece, what byte by byte; the keys that limit it.
    let table: [(&str, &[u8], &[u8], &[&str]); 10] = [
        ("nothing", b"", b"", &["request_headers_timeout"]),
        ("a byte", b"G", b"", &["request_headers_timeout"]),
        ("an empty line", b"\r\n", b"", &["request_headers_timeout"]),
        (
            "half a head",
            b"GET / HTTP/1.1\r\nhost: a",
            b"",
            &["request_headers_timeout"],
        ),
        (
            "a head in bytes",
            b"",
            &[b'x'; 1000],
            &["request_headers_timeout"],
        ),
        (
            "half a preface",
            half_preface,
            b"",
            &["request_headers_timeout"],
        ),
        (
            "an HTTP/2 client without a request",
            &http2,
            b"",
            &["idle_timeout"],
        ),
        ("half a frame", &half_a_frame, b"", &["idle_timeout"]),
        (
            "nothing after a request",
            GET,
            b"",
            &["idle_timeout", "max_connection_age"],
        ),
        (
            "a head in bytes after a request",
            GET,
            &[b'x'; 1000],
            &["request_headers_timeout"],
        ),
    ];
    let (upstream, _) = upstream().await;
    for (name, at_once, bytes, keys) in table {
        for key in keys {
            let name = &format!("{name}, {key}");
            let proxy = proxy_with(
                &format!("[clients]\n{key} = \"400ms\""),
                "",
                &cluster("c", "http1", &[upstream]),
            )
            .await;
            ready(&proxy).await;
            let mut client = TcpStream::connect(proxy.address).await.unwrap();
            let (mut read, mut write) = client.split();
            let sending = async {
                let _ = write.write_all(at_once).await;
                for byte in bytes {
                    if write.write_all(&[*byte]).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                std::future::pending().await
            };
            let mut rest = Vec::new();
            let closed = async {
                tokio::select! {
                    closed = read.read_to_end(&mut rest) => drop(closed),
                    () = sending => {}
                }
            };
            let (ended, took) = raw::time(tokio::time::timeout(SLACK, closed)).await;
            assert!(ended.is_ok(), "{name}: never");
            assert!(took >= SHORT * 9 / 10, "{name}: after {took:?} already");
            others_are_served(name, &proxy).await;
        }
    }
}

/// A client that answers pings is idle nevertheless, and gets a GOAWAY.
#[tokio::test]
async fn an_idle_http2_client_gets_goaway_though_it_answers_pings() {
    let (upstream, _) = upstream().await;
    for key in ["idle_timeout", "max_connection_age"] {
        let top = format!("[clients]\n{key} = \"1s\"\nkeep_alive_interval = \"100ms\"");
        let proxy = proxy_with(&top, "", &cluster("c", "http1", &[upstream])).await;
        ready(&proxy).await;
        let mut client = H2::connect(proxy.address, 65_535).await;
        client.get(1, "/").await;
        let mut pings = 0;
        let mut frames = Vec::new();
        while let Some(frame) = client.next().await {
            pings += usize::from(frame.kind == raw::PING && frame.flags & raw::ACK == 0);
            frames.push(frame.kind);
        }
        assert!(frames.contains(&raw::GOAWAY), "{key}: {frames:?}");
        assert!(
            frames.contains(&raw::DATA),
            "{key}: its request was answered"
        );
        assert!(pings > 1, "{key}: {frames:?}");
    }
}

/// The maximum age ends connections between requests, never during one.
#[tokio::test]
async fn a_busy_client_reconnects_without_losing_a_request() {
    let (upstream, _) = upstream().await;
    let top = "[clients]\nmax_connection_age = \"200ms\"";
    let proxy = proxy_with(top, "", &cluster("c", "http1", &[upstream])).await;
    ready(&proxy).await;
    let mut connections = 0;
    let mut requests = 0;
    while connections < 3 {
        connections += 1;
        let mut client = http1_client(proxy.address).await;
        while client.ready().await.is_ok() {
            let Ok(response) = client.send_request(get("/")).await else {
                // The connection was closed between the check and the request; none of it was read.
                break;
            };
            assert_eq!(response.status(), 200);
            response.into_body().collect().await.unwrap();
            requests += 1;
        }
    }
    assert!(requests > 3, "{requests} requests");
}

/// Clients beyond the maximum wait, and do not affect those that are connected.
#[tokio::test]
async fn the_number_of_clients_is_bounded() {
    let (upstream, _) = upstream().await;
    let top = "[clients]\nmax_connections = 2\nidle_timeout = \"30s\"";
    let proxy = proxy_with(top, "", &cluster("c", "http1", &[upstream])).await;
    ready(&proxy).await;
    let mut first = http1_client(proxy.address).await;
    let second = http1_client(proxy.address).await;
    for client in [&mut first] {
        client.send_request(get("/")).await.unwrap();
    }
    let mut third = TcpStream::connect(proxy.address).await.unwrap();
    third.write_all(GET).await.unwrap();
    let waiting = tokio::time::timeout(SHORT, third.read(&mut [0; 64])).await;
    assert!(waiting.is_err(), "it is not served");
    first.ready().await.unwrap();
    first.send_request(get("/")).await.unwrap();
    drop(second);
    let mut answer = [0; 12];
    let served = tokio::time::timeout(SLACK, third.read_exact(&mut answer)).await;
    served
        .expect("it is served once another client has disconnected")
        .unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}
