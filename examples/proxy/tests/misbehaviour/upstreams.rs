//! Upstreams that allow little, fail silently, or do not respond.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::bench::*;
use crate::raw;
use crate::support::*;

/// An upstream whose connections are counted and can be closed, and which can stop accepting.
struct Upstream {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
    /// Notified to stop accepting and close the listener.
    deaf: Arc<Notify>,
    /// All connections end when this changes.
    closing: watch::Sender<()>,
}

impl Upstream {
    /// Serves each connection by `serve`.
    async fn start<F, R>(serve: F) -> Self
    where
        F: Fn(TcpStream) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = Self {
            address: listener.local_addr().unwrap(),
            accepted: Arc::default(),
            open: Arc::default(),
            deaf: Arc::default(),
            closing: watch::channel(()).0,
        };
        let (accepted, open) = (Arc::clone(&upstream.accepted), Arc::clone(&upstream.open));
        let (deaf, closing) = (Arc::clone(&upstream.deaf), upstream.closing.clone());
        tokio::spawn(async move {
            loop {
                let stream = tokio::select! {
                    stream = listener.accept() => stream.unwrap().0,
                    () = deaf.notified() => return,
                };
                accepted.fetch_add(1, Ordering::SeqCst);
                open.fetch_add(1, Ordering::SeqCst);
                let (served, open, mut closing) =
                    (serve(stream), Arc::clone(&open), closing.subscribe());
                tokio::spawn(async move {
                    tokio::select! {
                        () = served => {}
                        _ = closing.changed() => {}
                    }
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        upstream
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    async fn until_open(&self, name: &str, open: impl Fn(usize) -> bool) {
        let waiting = async {
            while !open(self.open.load(Ordering::SeqCst)) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = timeout(SLACK, waiting).await;
        let now = self.open.load(Ordering::SeqCst);
        assert!(waited.is_ok(), "{name}: {now} connections are open");
    }
}

/// Responds to each HTTP/1.1 request after `pause`.
async fn http1(mut stream: TcpStream, pause: Duration) {
    let mut head = Vec::new();
    while let Ok(byte) = stream.read_u8().await {
        head.push(byte);
        if head.ends_with(b"\r\n\r\n") {
            head.clear();
            tokio::time::sleep(pause).await;
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            if stream.write_all(answer).await.is_err() {
                return;
            }
        }
    }
}

/// Serves up to `streams` HTTP/2 requests at a time, responding to each after `pause`.
async fn http2(stream: TcpStream, streams: u32, pause: Duration) {
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(streams);
    let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else {
        return;
    };
    let mut requests = JoinSet::new();
    while let Some(Ok((_, mut respond))) = connection.accept().await {
        requests.spawn(async move {
            tokio::time::sleep(pause).await;
            if let Ok(mut body) = respond.send_response(http::Response::new(()), false) {
                let _ = body.send_data(Bytes::from_static(b"ok"), true);
            }
        });
    }
}

/// Sends `number` requests at once; returns their statuses, and how long all of them took.
async fn ask_at_once(proxy: &Proxy, number: usize) -> (Vec<StatusCode>, Duration) {
    let start = Instant::now();
    let asked = (0..number).map(|_| ask(proxy.address, get("/")));
    let answers = timeout(SLACK, futures_util::future::join_all(asked)).await;
    let answers = answers.expect("none waits");
    let statuses = answers.iter().map(http::Response::status).collect();
    (statuses, start.elapsed())
}

fn served(statuses: &[StatusCode]) -> usize {
    statuses.iter().filter(|status| status.is_success()).count()
}

#[tokio::test]
async fn streams_that_an_endpoint_allows_are_used_on_several_connections() {
    let pause = Duration::from_millis(300);
    // Streams that the endpoint allows, maximum connections, requests; how many are served.
    let table = [
        (1, 8, 8, 8),
        (3, 8, 20, 20),
        (2, 3, 20, 6),
        (1000, 1, 100, 100),
    ];
    for (streams, connections, requests, expected) in table {
        let name = &format!("{requests} requests, {streams} streams, {connections} connections");
        let upstream = Upstream::start(move |stream| http2(stream, streams, pause)).await;
        let cluster = cluster("c", "http2", &[upstream.address]);
        let cluster = format!("{cluster}connections = {{ max_connections = {connections} }}\n");
        let proxy = proxy_with("", "retry = { max_attempts = 1 }", &cluster).await;
        ready(&proxy).await;
        let (statuses, took) = ask_at_once(&proxy, requests).await;
        assert_eq!(served(&statuses), expected, "{name}: {statuses:?}");
        let refused = statuses.iter().filter(|status| status.as_u16() == 503);
        assert_eq!(refused.count(), requests - expected, "{name}: {statuses:?}");
        assert!(took < Duration::from_secs(10), "{name}: {took:?}");
        assert!(upstream.accepted() <= connections, "{name}");
        // A second time: rejected requests must release everything.
        let (statuses, _) = ask_at_once(&proxy, expected).await;
        assert_eq!(served(&statuses), expected, "{name}, again: {statuses:?}");
    }
}

#[tokio::test]
async fn an_endpoint_that_allows_no_stream_is_not_ready() {
    let upstream = Upstream::start(|stream| http2(stream, 0, Duration::ZERO)).await;
    let cluster = cluster("c", "http2", &[upstream.address]);
    let cluster = format!("{cluster}connect_timeout = \"200ms\"\nfailfast_timeout = \"200ms\"\n");
    let proxy = proxy_with("", "", &cluster).await;
    let answer = timeout(SLACK, ask(proxy.address, get("/")))
        .await
        .expect("no hang");
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
}

/// One connection is enough to continue, whether or not attempts to open another succeed.
#[tokio::test]
async fn a_connection_that_cannot_be_opened_does_not_affect_open_ones() {
    let pause = Duration::from_millis(100);
    for protocol in ["http1", "http2"] {
        let upstream = match protocol {
            "http1" => Upstream::start(move |stream| http1(stream, pause)).await,
            _ => Upstream::start(move |stream| http2(stream, 1, pause)).await,
        };
        let proxy = proxy_with("", "", &cluster("c", protocol, &[upstream.address])).await;
        ready(&proxy).await;
        let first = ask(proxy.address, get("/")).await;
        assert_eq!(first.status(), StatusCode::OK);
        upstream.deaf.notify_one();
        eventually("nothing listens", || async {
            TcpStream::connect(upstream.address).await.is_err()
        })
        .await;
        for _ in 0..10 {
            let (statuses, _) = ask_at_once(&proxy, 2).await;
            assert!(served(&statuses) >= 1, "{protocol}: {statuses:?}");
            if protocol == "http1" {
                // The other one waited for its turn.
                assert_eq!(served(&statuses), 2, "{statuses:?}");
            }
        }
        assert_eq!(metric(&proxy, "tower_proxy_endpoint_ready", &[]).await, 1.0);
        assert_eq!(upstream.accepted(), 1);
    }
}

/// At the maximum number of connections, further requests wait for one, and do not open more.
#[tokio::test]
async fn connections_to_an_endpoint_are_bounded() {
    let pause = Duration::from_millis(50);
    let upstream = Upstream::start(move |stream| http1(stream, pause)).await;
    let cluster = cluster("c", "http1", &[upstream.address]);
    let cluster =
        format!("{cluster}connections = {{ max_connections = 3 }}\nconnect_timeout = \"10s\"\n");
    let proxy = proxy_with("", "", &cluster).await;
    ready(&proxy).await;
    let (statuses, _) = ask_at_once(&proxy, 30).await;
    assert_eq!(served(&statuses), 30, "{statuses:?}");
    assert_eq!(upstream.accepted(), 3);
}

#[tokio::test]
async fn an_endpoint_that_fails_while_idle_is_not_ready() {
    for protocol in ["http1", "http2"] {
        for first_used in [true, false] {
            let name = &format!("{protocol}, used: {first_used}");
            let upstream = match protocol {
                "http1" => Upstream::start(|stream| http1(stream, Duration::ZERO)).await,
                _ => Upstream::start(|stream| http2(stream, 100, Duration::ZERO)).await,
            };
            let proxy = proxy_with("", "", &cluster("c", protocol, &[upstream.address])).await;
            ready(&proxy).await;
            if first_used {
                assert_eq!(ask(proxy.address, get("/")).await.status(), StatusCode::OK);
            }
            upstream.deaf.notify_one();
            eventually("nothing listens", || async {
                TcpStream::connect(upstream.address).await.is_err()
            })
            .await;
            upstream.closing.send_replace(());
            eventually(name, || async {
                metric(&proxy, "tower_proxy_endpoint_ready", &[]).await == 0.0
            })
            .await;
        }
    }
}

/// An upstream that closes its connections when they are idle, or after each response, is healthy.
#[tokio::test]
async fn an_endpoint_that_closes_its_connections_stays_ready() {
    async fn one_answer(mut stream: TcpStream) {
        let mut head = Vec::new();
        while let Ok(byte) = stream.read_u8().await {
            head.push(byte);
            if head.ends_with(b"\r\n\r\n") {
                let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
                let _ = stream.write_all(answer).await;
                return;
            }
        }
    }
    let upstream = Upstream::start(one_answer).await;
    let proxy = proxy_with(
        "",
        "retry = { max_attempts = 1 }",
        &cluster("c", "http1", &[upstream.address]),
    )
    .await;
    ready(&proxy).await;
    for round in 0..50 {
        let answer = ask(proxy.address, get("/")).await;
        assert_eq!(answer.status(), StatusCode::OK, "{round}");
        assert_eq!(
            metric(&proxy, "tower_proxy_endpoint_ready", &[]).await,
            1.0,
            "{round}"
        );
    }
}

/// Connections that are no longer needed are closed; the endpoint stays ready, with a new connection if necessary.
#[tokio::test]
async fn idle_and_old_connections_are_closed() {
    for protocol in ["http1", "http2"] {
        for key in ["idle_timeout", "max_connection_age"] {
            let name = &format!("{protocol}, {key}");
            let pause = Duration::from_millis(50);
            let upstream = match protocol {
                "http1" => Upstream::start(move |stream| http1(stream, pause)).await,
                _ => Upstream::start(move |stream| http2(stream, 1, pause)).await,
            };
            let cluster = cluster("c", protocol, &[upstream.address]);
            let cluster = format!("{cluster}connections = {{ {key} = \"400ms\" }}\n");
            let proxy = proxy_with("", "", &cluster).await;
            ready(&proxy).await;
            let (statuses, _) = ask_at_once(&proxy, 5).await;
            assert_eq!(served(&statuses), 5, "{name}: {statuses:?}");
            let most = upstream.accepted();
            assert!(most >= 5, "{name}: {most}");
            upstream.until_open(name, |open| open <= 1).await;
            assert_eq!(
                metric(&proxy, "tower_proxy_endpoint_ready", &[]).await,
                1.0,
                "{name}"
            );
            // While there are requests, none of them is sent on a connection that is being closed.
            for _ in 0..30 {
                assert_eq!(
                    ask(proxy.address, get("/")).await.status(),
                    StatusCode::OK,
                    "{name}"
                );
            }
        }
    }
}

/// An upstream that falls silent without closing its connections, as after a power failure.
#[tokio::test]
async fn a_silent_http2_endpoint_is_detected_while_idle() {
    let silent = Arc::new(Notify::new());
    let fallen = Arc::clone(&silent);
    let upstream = Upstream::start(move |mut stream| {
        let silent = Arc::clone(&silent);
        async move {
            let begin = raw::frame(raw::SETTINGS, 0, 0, &[]);
            let answering = async {
                stream.write_all(&begin).await.unwrap();
                let mut preface = [0; 24];
                stream.read_exact(&mut preface).await.unwrap();
                loop {
                    let mut head = [0; 9];
                    if stream.read_exact(&mut head).await.is_err() {
                        return;
                    }
                    let mut payload = vec![0; usize::from(head[2]) + 256 * usize::from(head[1])];
                    stream.read_exact(&mut payload).await.unwrap();
                    if head[3] == raw::PING && head[4] & raw::ACK == 0 {
                        let answer = raw::frame(raw::PING, raw::ACK, 0, &payload);
                        stream.write_all(&answer).await.unwrap();
                    }
                }
            };
            tokio::select! {
                () = answering => {}
                () = silent.notified() => std::future::pending().await,
            }
        }
    })
    .await;
    let cluster = cluster("c", "http2", &[upstream.address]);
    let cluster = format!("{cluster}connections = {{ keep_alive_interval = \"200ms\" }}\n");
    let proxy = proxy_with("", "", &cluster).await;
    ready(&proxy).await;
    // It answers pings, so no connection is replaced.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(upstream.accepted(), 1);
    fallen.notify_one();
    eventually("another connection is opened", || async {
        upstream.accepted() > 1
    })
    .await;
}
