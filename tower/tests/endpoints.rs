//! Endpoints that disconnect are used again: `Reconnect` below `Balance` below `Buffer`.
//! (grpc-rust#643, grpc-rust#1147, grpc-rust#2839, influxdb_iox#6508)
#![cfg(feature = "full")]

use std::future::{Ready, ready};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;
use tower::balance::p2c::Balance;
use tower::buffer::Buffer;
use tower::discover::ServiceList;
use tower::load::Constant;
use tower::reconnect::Reconnect;
use tower::retry::backoff::ExponentialBackoffMaker;
use tower::util::BoxCloneService;
use tower::util::rng::HasherRng;
use tower::{BoxError, Service, ServiceExt, service_fn};

/// Accepts connections while it is alive, and breaks them while it is not.
#[derive(Default)]
struct Server {
    alive: AtomicBool,
    attempts: Mutex<Vec<Instant>>,
    requests: AtomicUsize,
}

impl Server {
    fn set_alive(&self, alive: bool) {
        self.alive.store(alive, Ordering::Relaxed);
    }

    fn check(&self) -> Result<(), BoxError> {
        match self.alive.load(Ordering::Relaxed) {
            true => Ok(()),
            false => Err("connection refused".into()),
        }
    }

    fn take_requests(&self) -> usize {
        self.requests.swap(0, Ordering::Relaxed)
    }
}

struct Connection(Arc<Server>);

impl Service<()> for Connection {
    type Response = ();
    type Error = BoxError;
    type Future = Ready<Result<(), BoxError>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(self.0.check())
    }

    fn call(&mut self, (): ()) -> Self::Future {
        self.0.requests.fetch_add(1, Ordering::Relaxed);
        ready(self.0.check())
    }
}

fn balance(servers: &[Arc<Server>]) -> BoxCloneService<(), (), BoxError> {
    let backoff = ExponentialBackoffMaker::new(
        Duration::from_millis(100),
        Duration::from_secs(10),
        0.5,
        HasherRng::default(),
    )
    .unwrap();
    let endpoints = servers.iter().map(|server| {
        let connect = service_fn(|server: Arc<Server>| {
            server.attempts.lock().unwrap().push(Instant::now());
            ready(server.check().map(|()| Connection(server)))
        });
        Constant::new(
            Reconnect::with_backoff(connect, server.clone(), backoff.clone()),
            0,
        )
    });
    let balance = Balance::new(ServiceList::new::<()>(endpoints.collect::<Vec<_>>()));
    Buffer::new(balance, 8).boxed_clone()
}

async fn send(service: &BoxCloneService<(), (), BoxError>, requests: usize) {
    for _ in 0..requests {
        service.clone().oneshot(()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_down_receives_no_requests_until_it_reconnects() {
    let servers: [Arc<Server>; 2] = Default::default();
    servers[0].set_alive(true);
    let service = balance(&servers);
    for _ in 0..3 {
        send(&service, 100).await;
        assert_eq!(servers[0].take_requests(), 100);
        assert_eq!(servers[1].take_requests(), 0, "the server is down");

        servers[1].set_alive(true);
        tokio::time::sleep(Duration::from_secs(20)).await;
        send(&service, 100).await;
        assert!(servers[0].take_requests() > 10 && servers[1].take_requests() > 10);

        servers[1].set_alive(false);
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_reconnects_forever_with_backoff() {
    let servers: [Arc<Server>; 1] = Default::default();
    let service = balance(&servers);
    let waiting = tokio::spawn(service.oneshot(()));
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let attempts = std::mem::take(&mut *servers[0].attempts.lock().unwrap());
    let waits: Vec<_> = attempts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // Up to 50 % longer, for jitter.
    assert!(waits[0] <= Duration::from_millis(151), "{:?}", waits[0]);
    let last = &waits[10..];
    assert!(last.len() > 200 && last.iter().all(|wait| *wait > Duration::from_secs(4)));
    assert!(last.iter().any(|wait| *wait != last[0]), "with jitter");

    // Without traffic, and for the request that has been waiting.
    servers[0].set_alive(true);
    tokio::time::timeout(Duration::from_secs(20), waiting)
        .await
        .expect("an answer")
        .unwrap()
        .unwrap();
}
