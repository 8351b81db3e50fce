//! What the rows of the tables have in common: a proxy with short times, and a look at whether all is free again.

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

/// The time that is configured for what is waited for in a row.
pub(crate) const SHORT: Duration = Duration::from_millis(400);
/// What a machine that does other things may take beyond that.
pub(crate) const SLACK: Duration = Duration::from_secs(20);

/// A route with these keys, and clusters.
pub(crate) async fn proxy_with(top: &str, route: &str, cluster: &str) -> Proxy {
    proxy(&format!(
        "{top}\n[[routes]]\ncluster = \"c\"\n{route}\n{cluster}"
    ))
    .await
}

/// How many requests are in flight.
pub(crate) async fn in_flight(proxy: &Proxy) -> f64 {
    metric(proxy, "tower_proxy_requests_in_flight", &[]).await
}

/// Waits until as many requests are in flight.
pub(crate) async fn until_in_flight(proxy: &Proxy, number: usize) {
    eventually("requests are in flight", || async {
        in_flight(proxy).await == number as f64
    })
    .await;
}

/// Tasks that there are, of the proxy, its upstreams and the test.
pub(crate) fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// Waits until no request is in flight and no more tasks are left than `before`; not before `earliest` from `start` on.
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

/// An upstream that sends without end to `/endless`, never begins to answer at `/never`, reads nothing and does not answer at
/// `/unread`, answers without reading at `/early`, and answers the length of the request to all others. Counts what it has sent.
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
                    // What is not read is held for as long as the connection lives, as by one that has forgotten it.
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

/// Whether a new client is served, at once.
pub(crate) async fn others_are_served(name: &str, proxy: &Proxy) {
    let answer = timeout(SLACK, ask(proxy.address, post("/other", full("12345")))).await;
    let answer = answer.unwrap_or_else(|_| panic!("{name}: another client waits"));
    assert_eq!(
        (answer.status().as_u16(), answer.body().as_str()),
        (200, "5"),
        "{name}"
    );
}
