//! Clients that do not read the response.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use crate::bench::*;
use crate::raw::{self, H2};
use crate::support::*;

const GET_ENDLESS: &[u8] = b"GET /endless HTTP/1.1\r\nhost: a\r\n\r\n";

/// The ways in which a client does not read, each with other resources that must be released.
#[derive(Debug, Clone, Copy)]
enum Client {
    /// HTTP/1.1, reads the head at most.
    Http1,
    /// HTTP/1.1, reads a little now and then.
    Http1Trickles,
    /// HTTP/2 without a stream window. It answers pings.
    Http2NoWindow,
    /// HTTP/2 with unlimited windows, but does not read from its socket.
    Http2NoRead,
    /// HTTP/2 that opens the window by one byte now and then.
    Http2Trickles,
}

/// The timeout that limits it.
#[derive(Debug, Clone, Copy)]
enum Bound {
    Idle,
    Total,
}

#[tokio::test]
async fn a_client_that_does_not_read_is_given_up() {
    use Bound::{Idle, Total};
    use Client::*;

    let table = [
        (Http1, Idle),
        (Http1, Total),
        (Http1Trickles, Total),
        (Http2NoWindow, Idle),
        (Http2NoWindow, Total),
        (Http2NoRead, Idle),
        (Http2Trickles, Total),
    ];
    for protocol in ["http1", "http2"] {
        let (upstream, _) = upstream().await;
        for (client, bound) in table {
            let name = &format!("{client:?}, {bound:?}, upstream of {protocol}");
            let route = match bound {
                Idle => "idle_timeout = \"400ms\"",
                Total => "body_timeout = \"400ms\"",
            };
            // So that the rest of the connection is closed as soon.
            let top = "[clients]\nidle_timeout = \"400ms\"";
            let proxy = proxy_with(top, route, &cluster("c", protocol, &[upstream])).await;
            ready(&proxy).await;
            others_are_served(name, &proxy).await;
            freed(name, &proxy, usize::MAX, Instant::now(), Duration::ZERO).await;
            let before = tasks();
            let start = Instant::now();
            let end = tokio::spawn(misbehave(client, proxy.address));
            until_in_flight(&proxy, 1).await;
            others_are_served(name, &proxy).await;
            end.await.unwrap();
            // There may be one more idle HTTP/1.1 connection to the upstream than before.
            freed(name, &proxy, before + 3, start, SHORT).await;
            others_are_served(name, &proxy).await;
        }
    }
}

/// Requests an endless body, and returns when the proxy has given up.
async fn misbehave(client: Client, proxy: std::net::SocketAddr) {
    let pause = Duration::from_millis(50);
    match client {
        Client::Http1 => {
            let mut stream = raw::connect(proxy).await;
            raw::send(&mut stream, GET_ENDLESS).await;
            raw::closed_unread(&stream).await;
        }
        Client::Http1Trickles => {
            let mut stream = raw::connect(proxy).await;
            raw::send(&mut stream, GET_ENDLESS).await;
            while let Ok(1..) = stream.read(&mut [0; 64]).await {
                tokio::time::sleep(pause).await;
            }
        }
        Client::Http2NoWindow => {
            let mut client = H2::connect(proxy, 0).await;
            client.get(1, "/endless").await;
            let reset = client.wait_for(raw::RST_STREAM, 1).await;
            assert!(reset.is_some(), "only the stream is reset");
        }
        Client::Http2NoRead => {
            let mut client = H2::connect(proxy, i32::MAX as u32).await;
            client.get(1, "/endless").await;
            raw::closed_unread(&client.stream).await;
        }
        Client::Http2Trickles => {
            let mut client = H2::connect(proxy, 0).await;
            client.get(1, "/endless").await;
            let reset = async {
                let trickle = async |client: &mut H2| {
                    tokio::time::sleep(pause).await;
                    client.send(&raw::window_update(1, 1)).await;
                };
                loop {
                    match client.next().await {
                        Some(frame) if frame.kind == raw::RST_STREAM => return,
                        Some(frame) if frame.kind == raw::DATA || frame.kind == raw::HEADERS => {
                            trickle(&mut client).await;
                        }
                        Some(_) => {}
                        None => panic!("only the stream is reset"),
                    }
                }
            };
            reset.await;
        }
    }
}

/// A client that reads slowly, but does, is not disconnected.
#[tokio::test]
async fn a_client_that_reads_slowly_gets_everything() {
    const LENGTH: usize = 600_000;
    let upstream = server(|_| async { http::Response::new(full(vec![b'x'; LENGTH])) }).await;
    for protocol in ["http1", "http2"] {
        let cluster = cluster("c", protocol, &[upstream]);
        let proxy = proxy_with("", "idle_timeout = \"1s\"", &cluster).await;
        let mut stream = raw::connect(proxy.address).await;
        let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        raw::send(&mut stream, request).await;
        let (mut all, mut buffer) = (0, vec![0; 16 * 1024]);
        let start = Instant::now();
        while let read @ 1.. = stream.read(&mut buffer).await.unwrap() {
            all += read;
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        assert!(all > LENGTH, "{protocol}: {all}");
        assert!(
            start.elapsed() > Duration::from_secs(1),
            "it took longer than the idle timeout"
        );
    }
}

/// Many streams that are not read, together larger than the memory of any one connection, leave an HTTP/2 endpoint
/// usable for others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unread_responses_do_not_block_others() {
    const READERS: usize = 1000;
    let (upstream, sent) = upstream().await;
    let proxy = proxy_to("http2", &[upstream]).await;
    ready(&proxy).await;
    let mut slow_http1 = Vec::new();
    for _ in 0..READERS / 2 {
        let mut stream = raw::connect(proxy.address).await;
        raw::send(&mut stream, GET_ENDLESS).await;
        slow_http1.push(stream);
    }
    let mut slow_http2 = Vec::new();
    for _ in 0..5 {
        let mut client = H2::connect(proxy.address, 0).await;
        for number in 0..READERS / 10 {
            client.get(2 * number as u32 + 1, "/endless").await;
        }
        slow_http2.push(client);
    }
    until_in_flight(&proxy, READERS).await;
    for _ in 0..20 {
        others_are_served("unread responses", &proxy).await;
    }
    assert_eq!(in_flight(&proxy).await, READERS as f64);
    // The memory of the upstream's kernel and of the proxy together. It includes the socket buffers of 500 clients,
    // which the kernel lets grow with time: some 0.4 MiB each at first, over 1 MiB on a busy machine.
    let each = sent.load(std::sync::atomic::Ordering::SeqCst) / READERS;
    assert!(each < 4 * 1024 * 1024, "{each} bytes for each");
}
