//! What the rows of the tables share: a proxy with short timeouts, and a check that all resources are released.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};
use tower::BoxError;

use crate::support::*;

/// The timeout that is configured for the event under test.
pub(crate) const SHORT: Duration = Duration::from_millis(400);
/// How much longer a busy machine may take.
pub(crate) const SLACK: Duration = Duration::from_secs(20);

/// Starts a proxy with these keys for the file, its route and its cluster.
pub(crate) async fn proxy_with(top: &str, route: &str, cluster: &str) -> Proxy {
    proxy(&format!(
        "{top}\n[[routes]]\ncluster = \"c\"\n{route}\n{cluster}"
    ))
    .await
}

/// Returns the number of requests in flight.
pub(crate) async fn in_flight(proxy: &Proxy) -> f64 {
    metric(proxy, "tower_proxy_requests_in_flight", &[]).await
}

/// Waits until this number of requests is in flight.
pub(crate) async fn until_in_flight(proxy: &Proxy, number: usize) {
    eventually("requests are in flight", || async {
        in_flight(proxy).await == number as f64
    })
    .await;
}

/// Returns the number of tasks of the proxy, its upstreams and the test.
pub(crate) fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// Waits until no request is in flight and there are no more tasks than `before`; fails if that is earlier than
/// `earliest` after `start`.
pub(crate) async fn freed(
    name: &str,
    proxy: &Proxy,
    before: usize,
    start: Instant,
    earliest: Duration,
) {
    let free = async {
        while tasks() > before || in_flight(proxy).await != 0.0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let ended = timeout(earliest + SLACK, free).await;
    let (now, in_flight) = (tasks(), in_flight(proxy).await);
    assert!(
        ended.is_ok(),
        "{name}: {now} tasks where {before} were, {in_flight} requests in flight"
    );
    let took = start.elapsed();
    assert!(took >= earliest, "{name}: after {took:?} already");
}

/// Starts an upstream that sends an endless body to `/endless`, never responds to `/never`, neither reads nor responds
/// to `/unread`, responds without reading to `/early`, and responds with the length of the request to all others.
/// Counts the bytes sent.
pub(crate) async fn upstream() -> (SocketAddr, Arc<AtomicUsize>) {
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    let address = server(move |request: Request<Incoming>| {
        let counter = Arc::clone(&counter);
        async move {
            match request.uri().path() {
                "/endless" => Response::new(endless(counter)),
                "/never" => std::future::pending().await,
                "/unread" => {
                    let _held = request;
                    std::future::pending().await
                }
                "/early" => {
                    // Unread bodies are kept as long as the connection lives, as by a server that has leaked them.
                    std::mem::forget(request.into_body());
                    Response::new(full("early"))
                }
                _ => {
                    let length = request.into_body().collect().await;
                    let length = length.map_or(0, |body| body.to_bytes().len());
                    Response::new(full(length.to_string()))
                }
            }
        }
    })
    .await;
    (address, sent)
}

fn endless(sent: Arc<AtomicUsize>) -> RequestBody {
    let chunks = stream::repeat_with(move || {
        let chunk = Bytes::from_static(&[b'x'; 16 * 1024]);
        sent.fetch_add(chunk.len(), Ordering::SeqCst);
        Ok::<_, BoxError>(Frame::data(chunk))
    });
    StreamBody::new(chunks).boxed_unsync()
}

/// Checks that a new client is served immediately.
pub(crate) async fn others_are_served(name: &str, proxy: &Proxy) {
    let answer = timeout(SLACK, ask(proxy.address, post("/other", full("12345")))).await;
    let answer = answer.unwrap_or_else(|_| panic!("{name}: another client waits"));
    assert_eq!(
        (answer.status().as_u16(), answer.body().as_str()),
        (200, "5"),
        "{name}"
    );
}
