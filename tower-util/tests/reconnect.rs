//! A connection that comes back.
#![cfg(feature = "reconnect")]

use std::future::{Ready, ready};
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

/// Waits one second, then two, then four.
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
async fn a_connection_that_served_is_made_anew_at_once() {
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
async fn a_connection_lost_before_it_served_counts_as_a_failed_attempt() {
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

/// C21: tower 0.5 fails the request with the error of the attempt before.
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

/// A service that fails as soon as it is made.
struct Broken;

impl Service<()> for Broken {
    type Response = ();
    type Error = BoxError;
    type Future = Ready<Result<(), BoxError>>;

    fn poll_ready(
        &mut self,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), BoxError>> {
        std::task::Poll::Ready(Err("broken".into()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        unreachable!("it is never ready")
    }
}

#[tokio::test]
async fn a_service_that_fails_at_once_does_not_block_the_task() {
    let mut service = Spawn::new(Reconnect::new(
        service_fn(|()| ready(Ok::<_, BoxError>(Broken))),
        (),
    ));
    assert_pending!(service.poll_ready());
    assert!(service.is_woken());
}

#[tokio::test]
async fn uses_a_connection_given_to_begin_with() {
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
