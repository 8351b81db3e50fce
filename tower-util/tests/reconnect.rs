//! `Reconnect`, with and without a backoff.
#![cfg(all(feature = "reconnect", feature = "util"))]

use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio_test::{assert_pending, assert_ready_ok};
use tower_service::Service;
use tower_test::mock::{self, Mock, Spawn};
use tower_util::backoff::ExponentialBackoffMaker;
use tower_util::reconnect::Reconnect;
use tower_util::rng::HasherRng;
use tower_util::{BoxError, ServiceExt, service_fn};

type Connection = Mock<&'static str, &'static str>;
type Connector = mock::Handle<(), Connection>;

const SECOND: Duration = Duration::from_secs(1);

/// Returns a service whose backoff waits one second, then two, then four.
fn with_backoff() -> (
    Spawn<impl Service<&'static str, Response = &'static str, Error = BoxError, Future: Send>>,
    Connector,
) {
    let backoff = ExponentialBackoffMaker::new(SECOND, 60 * SECOND, 0.0, HasherRng::new()).unwrap();
    mock::spawn_with(move |connector| Reconnect::with_backoff(connector, (), backoff.clone()))
}

#[tokio::test(start_paused = true)]
async fn is_not_ready_while_disconnected_and_waits_longer_each_time() {
    let (mut service, mut connector) = with_backoff();
    assert_pending!(service.poll_ready());
    for wait in [SECOND, 2 * SECOND, 4 * SECOND] {
        connector
            .next_request()
            .await
            .unwrap()
            .1
            .send_error("refused");
        assert!(service.is_woken());
        assert_pending!(service.poll_ready());
        tokio::time::sleep(wait - Duration::from_millis(10)).await;
        assert!(!service.is_woken());
        assert_pending!(service.poll_ready());
        assert_pending!(connector.poll_request(), "no attempt before its time");
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(service.is_woken());
        assert_pending!(service.poll_ready());
    }
    let (connection, _handle) = mock::pair();
    connector
        .next_request()
        .await
        .unwrap()
        .1
        .send_response(connection);
    assert_ready_ok!(service.poll_ready());
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_used_is_replaced_at_once() {
    let (mut service, mut connector) = with_backoff();
    assert_pending!(service.poll_ready());
    let (connection, mut handle) = mock::pair();
    connector
        .next_request()
        .await
        .unwrap()
        .1
        .send_response(connection);
    assert_ready_ok!(service.poll_ready());
    let response = tokio::spawn(service.call("ping"));
    handle.next_request().await.unwrap().1.send_response("pong");
    assert_eq!(response.await.unwrap().unwrap(), "pong");

    drop(handle);
    assert_pending!(service.poll_ready());
    assert!(connector.poll_request().is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_connection_lost_before_it_was_used_counts_as_a_failed_attempt() {
    let (mut service, mut connector) = with_backoff();
    assert_pending!(service.poll_ready());
    let (connection, handle) = mock::pair();
    connector
        .next_request()
        .await
        .unwrap()
        .1
        .send_response(connection);
    assert_ready_ok!(service.poll_ready());
    drop(handle);
    assert_pending!(service.poll_ready());
    assert_pending!(connector.poll_request());
    tokio::time::sleep(2 * SECOND).await;
    assert!(service.is_woken());
}

#[tokio::test]
async fn without_backoff_the_next_request_gets_the_error() {
    let (mut service, mut connector) =
        mock::spawn_with(|connector: Mock<(), Connection>| Reconnect::new(connector, ()));
    assert_pending!(service.poll_ready());
    connector
        .next_request()
        .await
        .unwrap()
        .1
        .send_error("refused");
    assert_ready_ok!(service.poll_ready());
    assert_eq!(
        service.call("ping").await.unwrap_err().to_string(),
        "refused"
    );
}

/// C21: tower 0.5 fails the request with the error of the previous attempt.
#[tokio::test]
async fn a_stale_error_is_forgotten_once_connected() {
    let (mut service, mut connector) =
        mock::spawn_with(|connector: Mock<(), Connection>| Reconnect::new(connector, ()));
    assert_pending!(service.poll_ready());
    connector
        .next_request()
        .await
        .unwrap()
        .1
        .send_error("refused");
    assert_ready_ok!(service.poll_ready());
    assert_pending!(service.poll_ready());
    let (connection, mut handle) = mock::pair();
    connector
        .next_request()
        .await
        .unwrap()
        .1
        .send_response(connection);
    assert_ready_ok!(service.poll_ready());
    let response = tokio::spawn(service.call("ping"));
    handle.next_request().await.unwrap().1.send_response("pong");
    assert_eq!(response.await.unwrap().unwrap(), "pong");
}

/// A service that fails when it is first polled.
struct Broken;

impl Service<()> for Broken {
    type Response = ();
    type Error = BoxError;
    type Future = Ready<Result<(), BoxError>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Err("broken".into()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        unreachable!("it is never ready")
    }
}

#[tokio::test]
async fn a_service_that_always_fails_does_not_block_the_task() {
    let mut service = Spawn::new(Reconnect::new(
        service_fn(|()| ready(Ok::<_, BoxError>(Broken))),
        (),
    ));
    assert_pending!(service.poll_ready());
    assert!(service.is_woken());
}

#[tokio::test]
async fn uses_an_initial_connection() {
    let echo = service_fn(|n: u32| ready(Ok::<_, BoxError>(n)));
    let never = service_fn(move |()| {
        ready(if false {
            Ok(echo)
        } else {
            Err(BoxError::from("refused"))
        })
    });
    let service = Reconnect::with_connection(echo, never, ());
    assert_eq!(service.oneshot(7).await.unwrap(), 7);
}

/// Some clones of this maker fail to become ready, as do the services that it makes.
#[derive(Clone)]
struct Maker(Fragile);

struct Fragile {
    failed: bool,
    failures: Arc<AtomicUsize>,
}

impl Clone for Fragile {
    fn clone(&self) -> Self {
        Self {
            failed: false,
            failures: Arc::clone(&self.failures),
        }
    }
}

impl Maker {
    fn new(failures: &Arc<AtomicUsize>) -> Self {
        Self(Fragile {
            failed: false,
            failures: Arc::clone(failures),
        })
    }
}

impl Fragile {
    fn poll(&mut self) -> Poll<Result<(), BoxError>> {
        assert!(!self.failed, "polled after its readiness failed");
        let order = Ordering::Relaxed;
        let failed = self
            .failures
            .fetch_update(order, order, |left| left.checked_sub(1));
        self.failed = failed.is_ok();
        match self.failed {
            true => Poll::Ready(Err("not ready".into())),
            false => Poll::Ready(Ok(())),
        }
    }
}

impl Service<&'static str> for Maker {
    type Response = Fragile;
    type Error = BoxError;
    type Future = Ready<Result<Fragile, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll()
    }

    fn call(&mut self, _: &'static str) -> Self::Future {
        assert!(!self.0.failed, "called after its readiness failed");
        ready(Ok(self.0.clone()))
    }
}

impl Service<u32> for Fragile {
    type Response = u32;
    type Error = BoxError;
    type Future = Ready<Result<u32, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.poll()
    }

    fn call(&mut self, n: u32) -> Self::Future {
        assert!(!self.failed, "called after its readiness failed");
        ready(Ok(n))
    }
}

#[tokio::test(start_paused = true)]
async fn a_maker_that_failed_to_become_ready_is_replaced_by_a_clone() {
    let backoff = ExponentialBackoffMaker::new(SECOND, 60 * SECOND, 0.0, HasherRng::new()).unwrap();
    let failures = Arc::new(AtomicUsize::new(3));
    let mut service = Reconnect::with_backoff(Maker::new(&failures), "target", backoff);
    let began = tokio::time::Instant::now();
    assert_eq!(service.ready().await.unwrap().call(7).await.unwrap(), 7);
    // One, two and four seconds.
    assert_eq!(began.elapsed().as_secs(), 7);
    // The connection is lost, and then the maker fails to become ready again.
    failures.store(2, Ordering::Relaxed);
    assert_eq!(service.ready().await.unwrap().call(8).await.unwrap(), 8);
    assert_eq!(failures.load(Ordering::Relaxed), 0);
}

/// As in tower 0.5: the maker need not be `Clone`.
#[tokio::test]
async fn without_backoff_the_error_of_a_maker_that_is_not_ready_is_returned() {
    let failures = Arc::new(AtomicUsize::new(1));
    let service = Reconnect::new(Maker::new(&failures), "target");
    let error = service.oneshot(7).await.unwrap_err();
    assert_eq!(error.to_string(), "not ready");
}
