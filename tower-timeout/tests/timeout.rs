//! `Timeout`: responses in time, late responses, and cancellation of the request.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower_service::Service;
use tower_test::mock;
use tower_timeout::error::{DeadlineExceeded, Elapsed};
use tower_timeout::{BoxError, Timeout, TimeoutLayer};

const TIMEOUT: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(1);

type Spawned = mock::Spawn<Timeout<mock::Mock<&'static str, &'static str>>>;

fn spawn(timeout: Duration) -> (Spawned, mock::Handle<&'static str, &'static str>) {
    mock::spawn_layer(TimeoutLayer::new(timeout))
}

fn elapsed(error: &BoxError) -> &Elapsed {
    error
        .downcast_ref()
        .unwrap_or_else(|| panic!("not elapsed but {error}"))
}

#[tokio::test(start_paused = true)]
async fn a_response_in_time_is_returned() {
    let (mut service, mut handle) = spawn(TIMEOUT);
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call("request"));
    assert_pending!(response.poll());
    tokio::time::advance(TIMEOUT - TICK).await;
    assert_pending!(response.poll());
    handle
        .next_request()
        .await
        .unwrap()
        .1
        .send_response("response");
    assert!(response.is_woken());
    assert_eq!(assert_ready_ok!(response.poll()), "response");
}

#[test]
fn errors_can_be_cloned_and_compared() {
    let error = Elapsed::after(TIMEOUT);
    assert_eq!(error.clone(), error);
    assert_ne!(error, Elapsed::new());
    assert_eq!(DeadlineExceeded::default(), DeadlineExceeded::default());
}

#[tokio::test(start_paused = true)]
async fn a_late_response_fails_and_wakes_the_caller() {
    let (mut service, _handle) = spawn(TIMEOUT);
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call("request"));
    assert_pending!(response.poll());
    tokio::time::advance(TIMEOUT + TICK).await;
    assert!(response.is_woken());
    let error = assert_ready_err!(response.poll());
    assert_eq!(elapsed(&error).timeout(), Some(TIMEOUT));
    assert_eq!(error.to_string(), "request timed out after 1s");
}

#[tokio::test(start_paused = true)]
async fn the_time_starts_with_the_first_poll() {
    let (mut service, _handle) = spawn(TIMEOUT);
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call("request"));
    tokio::time::advance(TIMEOUT).await;
    assert_pending!(response.poll());
    tokio::time::advance(TIMEOUT + TICK).await;
    elapsed(&assert_ready_err!(response.poll()));
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_ready_wins_over_a_deadline_that_has_passed() {
    let (mut service, mut handle) = spawn(TIMEOUT);
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call("request"));
    assert_pending!(response.poll());
    handle
        .next_request()
        .await
        .unwrap()
        .1
        .send_response("response");
    tokio::time::advance(TIMEOUT * 2).await;
    assert_eq!(assert_ready_ok!(response.poll()), "response");
}

#[tokio::test(start_paused = true)]
async fn errors_and_readiness_of_the_inner_service_are_forwarded() {
    let (mut service, mut handle) = spawn(TIMEOUT);
    handle.allow(0);
    assert_pending!(service.poll_ready());
    tokio::time::advance(TIMEOUT * 10).await;
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert!(service.is_woken());
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call("request"));
    handle.next_request().await.unwrap().1.send_error("broken");
    assert_eq!(assert_ready_err!(response.poll()).to_string(), "broken");

    handle.send_error("unready");
    assert_eq!(
        assert_ready_err!(service.poll_ready()).to_string(),
        "unready"
    );
}

#[tokio::test(start_paused = true)]
async fn a_timeout_beyond_the_clock_never_elapses() {
    let (mut service, mut handle) = spawn(Duration::MAX);
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call("request"));
    assert_pending!(response.poll());
    tokio::time::advance(Duration::from_secs(60 * 60 * 24 * 365)).await;
    assert_pending!(response.poll());
    handle
        .next_request()
        .await
        .unwrap()
        .1
        .send_response("response");
    assert_ready_ok!(response.poll());
}

/// A service made from a function.
struct Func<F>(F);

impl<F, R> Service<()> for Func<F>
where
    F: FnMut() -> R,
    R: Future<Output = Result<(), BoxError>>,
{
    type Response = ();
    type Error = BoxError;
    type Future = R;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> R {
        (self.0)()
    }
}

#[test]
fn a_response_that_is_ready_immediately_needs_no_runtime() {
    let mut service = Timeout::new(Func(|| ready(Ok(()))), TIMEOUT);
    let mut response = task::spawn(service.call(()));
    assert_ready_ok!(response.poll());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_timed_out_is_dropped_by_its_caller() {
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let mut service = Timeout::new(
        Func(move || {
            let held = Arc::clone(&held);
            async move {
                std::future::pending::<()>().await;
                drop(held);
                Ok(())
            }
        }),
        TIMEOUT,
    );
    let response = service.call(());
    assert_eq!(Arc::strong_count(&alive), 3);
    elapsed(&response.await.unwrap_err());
    assert_eq!(Arc::strong_count(&alive), 2);
}

/// Uses up the task's budget in every poll, and time with it.
struct Busy(
    tokio::sync::mpsc::UnboundedReceiver<()>,
    tokio::sync::mpsc::UnboundedSender<()>,
);

impl Future for Busy {
    type Output = Result<(), BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            self.1.send(()).expect("the receiver has not been dropped");
            if self.0.poll_recv(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

/// With tower 0.5's `Timeout` this never ends: its timer never finds budget left.
#[tokio::test(start_paused = true)]
async fn a_busy_response_cannot_starve_the_timer() {
    let mut service = Timeout::new(
        Func(|| {
            let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
            Busy(receiver, sender)
        }),
        TIMEOUT,
    );
    let response = tokio::spawn(service.call(()));
    let mut polls = 0;
    while !response.is_finished() {
        tokio::time::advance(TIMEOUT / 10).await;
        polls += 1;
        assert!(polls < 1_000, "the timeout never came");
    }
    elapsed(&response.await.unwrap().unwrap_err());
}
