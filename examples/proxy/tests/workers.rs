//! Several threads: where requests go, and which upstream connections they share.

mod support;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use support::*;
use tokio::net::{TcpListener, TcpStream};

/// Starts a relay to a backend. Returns its address, and how many connections it has accepted.
async fn counted(backend: SocketAddr) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepted = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&accepted);
    tokio::spawn(async move {
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            counter.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut far = TcpStream::connect(backend).await?;
                tokio::io::copy_bidirectional(&mut near, &mut far).await
            });
        }
    });
    (address, accepted)
}

/// Starts a backend that responds after `wait`, over either protocol.
async fn slow(wait: impl Fn() -> Duration + Clone + Send + Sync + 'static) -> SocketAddr {
    server(move |_request| {
        let wait = wait();
        async move {
            tokio::time::sleep(wait).await;
            Response::new(Full::new(Bytes::from_static(b"hi")))
        }
    })
    .await
}

/// Sends a request on each of some connections, at once or one after the other.
async fn ask_on_each(proxy: &Proxy, connections: usize, at_once: bool) {
    let mut clients = Vec::new();
    for _ in 0..connections {
        clients.push(http1_client(proxy.address).await);
    }
    let ask = |mut client: hyper::client::conn::http1::SendRequest<RequestBody>| async move {
        let response = client.send_request(get("/")).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        response.into_body().collect().await.unwrap();
        client
    };
    let requests = clients.into_iter().map(ask);
    if at_once {
        futures_util::future::join_all(requests).await;
    } else {
        // The clients stay connected.
        let mut asked = Vec::new();
        for request in requests {
            asked.push(within(request).await);
        }
    }
}

async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(LIMIT, future).await.expect("in time")
}

#[tokio::test]
async fn threads_lend_each_other_idle_connections_to_an_http1_upstream() {
    let (address, accepted) = counted(slow(|| Duration::ZERO).await).await;
    let proxy = proxy_to("http1", &[address]).await;
    ready(&proxy).await;
    ask_on_each(&proxy, 8, false).await;
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn threads_with_few_requests_share_a_connection_to_an_http2_upstream() {
    let (address, accepted) = counted(slow(|| Duration::from_millis(100)).await).await;
    let proxy = proxy_to("http2", &[address]).await;
    ready(&proxy).await;
    ask_on_each(&proxy, 6, true).await;
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_thread_with_many_requests_has_a_connection_of_its_own_to_an_http2_upstream() {
    let (address, accepted) = counted(slow(|| Duration::from_millis(500)).await).await;
    let proxy = proxy_to("http2", &[address]).await;
    ready(&proxy).await;
    ask_on_each(&proxy, 64, true).await;
    assert_eq!(accepted.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn threads_share_the_only_connection_that_an_http2_upstream_may_have() {
    let (address, accepted) = counted(slow(|| Duration::from_millis(100)).await).await;
    let proxy = proxy(&format!(
        "[[routes]]\ncluster = \"c\"\n{}[clusters.c.connections]\nmax_connections = 1\n",
        cluster("c", "http2", &[address])
    ))
    .await;
    ready(&proxy).await;
    ask_on_each(&proxy, 64, true).await;
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
}
