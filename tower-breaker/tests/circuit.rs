//! The circuit breaker around a service.

mod common;

use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use tokio::time::{advance, sleep, timeout};
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task};
use tower_breaker::error::Open;
use tower_breaker::policy::{BreakerPolicy, State};
use tower_breaker::{BoxError, BreakerHandle, Cause, CircuitBreaker, CircuitBreakerLayer, Event};
use tower_layer::Layer;
use tower_readiness::{drive, release};
use tower_service::Service;
use tower_test::mock::{self, Mock};
use tower_util::backoff::{Jitter, Schedule};
use tower_util::{ServiceExt, service_fn};

use common::OnePermit;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

type Service_ = Mock<&'static str, &'static str>;

/// Opens after `failures`, for exactly a second, then two, and so on.
fn policy(failures: u32) -> BreakerPolicy {
    let open_time = Schedule::exponential(SECOND, 60 * SECOND).with_jitter(Jitter::None);
    BreakerPolicy::never()
        .consecutive_failures(failures)
        .open_time(open_time)
}

/// Succeeds on `"ok"`, hangs on `"hang"`, fails otherwise.
async fn respond(request: &'static str) -> Result<&'static str, BoxError> {
    match request {
        "ok" => Ok("ok"),
        "hang" => pending().await,
        "slow" => {
            sleep(2 * SECOND).await;
            Ok("slow")
        }
        _ => Err(request.into()),
    }
}

fn open_of(error: &BoxError) -> &Open {
    error.downcast_ref().expect("rejected by the breaker")
}

async fn run<S>(service: &S, request: &'static str) -> Result<&'static str, BoxError>
where
    S: Service<&'static str, Response = &'static str, Error = BoxError> + Clone,
{
    service.clone().oneshot(request).await
}

/// Records the events.
fn recorder() -> (
    impl Fn(&Event) + Send + Sync + 'static,
    impl Fn() -> Vec<Event>,
) {
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&events);
    let record = move |event: &Event| events.lock().unwrap().push(*event);
    (record, move || std::mem::take(&mut *seen.lock().unwrap()))
}

#[tokio::test(start_paused = true)]
async fn opens_rejects_probes_and_closes_and_says_so() {
    let (record, events) = recorder();
    let layer = CircuitBreakerLayer::new(policy(2)).on_event(record);
    let service = layer.layer(service_fn(respond));
    let breaker = service.breaker();

    run(&service, "ok").await.unwrap();
    for _ in 0..2 {
        let error = run(&service, "down").await.unwrap_err();
        assert_eq!(error.to_string(), "down");
    }
    let opened = |seconds, cause| Event::Opened {
        open_for: Some(seconds * SECOND),
        cause,
    };
    assert_eq!(events(), [opened(1, Cause::ConsecutiveFailures)]);
    assert!(matches!(breaker.state(), State::Open { .. }));

    advance(400 * MS).await;
    let error = run(&service, "ok").await.unwrap_err();
    assert_eq!(open_of(&error).retry_after(), Some(600 * MS));
    assert_eq!(error.to_string(), "the circuit breaker is open");
    let retry_after = Some(600 * MS);
    assert_eq!(events(), [Event::Rejected { retry_after }]);

    advance(600 * MS).await;
    assert_eq!(breaker.state(), State::HalfOpen);
    run(&service, "down").await.unwrap_err();
    assert_eq!(events(), [Event::HalfOpened, opened(2, Cause::Probe)]);
    advance(2 * SECOND).await;
    run(&service, "ok").await.unwrap();
    assert_eq!(events(), [Event::HalfOpened, Event::Closed]);
    assert_eq!(breaker.state(), State::Closed);
}

/// The counted successes must end the row of failures, and be in the ratio.
#[tokio::test(start_paused = true)]
async fn successes_without_a_lock_are_recorded() {
    let service = CircuitBreaker::new(service_fn(respond), policy(2));
    for request in ["down", "ok", "down", "ok", "ok", "down"] {
        let _ = run(&service, request).await;
        assert_eq!(service.breaker().state(), State::Closed);
    }
    run(&service, "down").await.unwrap_err();
    assert!(matches!(service.breaker().state(), State::Open { .. }));

    let ratio = BreakerPolicy::never()
        .failure_ratio(0.5)
        .window(10 * SECOND, 4);
    let service = CircuitBreaker::new(service_fn(respond), ratio);
    for _ in 0..9 {
        run(&service, "ok").await.unwrap();
        advance(100 * MS).await;
    }
    for _ in 0..8 {
        run(&service, "down").await.unwrap_err();
        assert_eq!(service.breaker().state(), State::Closed);
    }
    run(&service, "down").await.unwrap_err();
    assert!(matches!(service.breaker().state(), State::Open { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_hangs_and_is_cancelled_counts_as_slow() {
    let slow = policy(9).slow_calls(1.0, SECOND).window(60 * SECOND, 2);
    let service = CircuitBreaker::new(service_fn(respond), slow);
    run(&service, "slow").await.unwrap();
    assert!(timeout(SECOND, run(&service, "hang")).await.is_err());
    assert!(matches!(service.breaker().state(), State::Open { .. }));
    // A probe that hangs opens it again.
    advance(SECOND).await;
    assert!(timeout(SECOND, run(&service, "hang")).await.is_err());
    let error = run(&service, "ok").await.unwrap_err();
    assert_eq!(open_of(&error).retry_after(), Some(2 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_dropped_frees_its_place() {
    let service = CircuitBreaker::new(service_fn(respond), policy(1));
    run(&service, "down").await.unwrap_err();
    advance(SECOND).await;
    for _ in 0..3 {
        let mut probe = task::spawn(run(&service, "hang"));
        assert_pending!(probe.poll());
        let error = run(&service, "ok").await.unwrap_err();
        assert_eq!(open_of(&error).retry_after(), None);
        assert_eq!(service.breaker().state(), State::HalfOpen);
    }
    run(&service, "ok").await.unwrap();
    assert_eq!(service.breaker().state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_hangs_does_not_block_the_others_forever() {
    let layer = CircuitBreakerLayer::new(policy(1).max_probe_time(9 * SECOND));
    let service = layer.layer(service_fn(respond));
    run(&service, "down").await.unwrap_err();
    advance(SECOND).await;
    let mut probe = task::spawn(run(&service, "hang"));
    assert_pending!(probe.poll());
    advance(9 * SECOND - MS).await;
    open_of(&run(&service, "ok").await.unwrap_err());
    advance(MS).await;
    run(&service, "ok").await.unwrap();

    // A caller that waits is woken for it.
    let service = layer.wait_while_open().layer(service_fn(respond));
    run(&service, "down").await.unwrap_err();
    let mut probe = task::spawn(run(&service, "hang"));
    assert_pending!(probe.poll());
    advance(SECOND + MS).await;
    assert_pending!(probe.poll());
    let began = tokio::time::Instant::now();
    run(&service, "ok").await.unwrap();
    assert!((8 * SECOND..10 * SECOND).contains(&began.elapsed()));
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_panics_frees_its_place() {
    let service = CircuitBreaker::new(
        service_fn(|request: &'static str| {
            assert!(request != "panic in call");
            async move {
                assert!(request != "panic");
                respond(request).await
            }
        }),
        policy(1),
    );
    run(&service, "down").await.unwrap_err();
    advance(SECOND).await;
    for request in ["panic", "panic in call"] {
        let probe = AssertUnwindSafe(run(&service, request));
        let panicked = catch_unwind(|| probe.now_or_never());
        assert!(panicked.is_err());
        assert_eq!(service.breaker().state(), State::HalfOpen);
    }
    run(&service, "ok").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_request_that_panics_does_not_count_as_slow() {
    let slow = BreakerPolicy::never()
        .slow_calls(0.1, SECOND)
        .window(60 * SECOND, 1);
    let service = CircuitBreaker::new(
        service_fn(|request: &'static str| async move {
            sleep(2 * SECOND).await;
            assert!(request != "panic");
            Ok::<_, BoxError>(request)
        }),
        slow,
    );
    let panicked = AssertUnwindSafe(run(&service, "panic")).catch_unwind();
    assert!(panicked.await.is_err());
    assert_eq!(service.breaker().state(), State::Closed);
    run(&service, "ok").await.unwrap();
    assert!(matches!(service.breaker().state(), State::Open { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_probe_frees_its_place_with_its_result() {
    let service = CircuitBreaker::new(service_fn(respond), policy(1).probes(1, 2));
    run(&service, "down").await.unwrap_err();
    advance(SECOND).await;
    let mut probe = task::spawn(run(&service, "ok"));
    assert_ready_ok!(probe.poll());
    run(&service, "ok").await.unwrap();
    drop(probe);
    assert_eq!(service.breaker().state(), State::Closed);
}

#[tokio::test]
async fn while_open_the_inner_service_is_neither_polled_nor_called() {
    let (service, mut handle) = mock::pair::<&'static str, &'static str>();
    let (layer, breaker) = CircuitBreakerLayer::new(policy(1)).shared();
    let mut service = mock::Spawn::new(layer.layer(service));
    handle.allow(0);
    assert_pending!(service.poll_ready());

    // The breaker opens while the caller waits for the inner service.
    breaker.force_open();
    assert!(service.is_woken());
    assert_ready_ok!(service.poll_ready());
    let error = assert_ready_err!(task::spawn(service.call("a")).poll());
    assert_eq!(open_of(&error).retry_after(), None);

    // It closes, and the caller waits again.
    breaker.reset();
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert!(service.is_woken());
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call("b"));
    assert_pending!(response.poll());
    let (request, send) = handle.next_request().await.unwrap();
    assert_eq!(request, "b");
    send.send_response("c");
    assert_eq!(assert_ready_ok!(response.poll()), "c");
}

#[tokio::test]
async fn a_breaker_that_opens_between_ready_and_call_rejects() {
    let (service, mut handle) = mock::pair::<&'static str, &'static str>();
    let (layer, breaker) = CircuitBreakerLayer::new(policy(1)).shared();
    let mut service = mock::Spawn::new(layer.layer(service));
    handle.allow(2);
    assert_ready_ok!(service.poll_ready());
    breaker.force_open();
    let error = assert_ready_err!(task::spawn(service.call("a")).poll());
    open_of(&error);
    // One that closes in between does too: the inner service may not be ready.
    assert_ready_ok!(service.poll_ready());
    breaker.reset();
    let error = assert_ready_err!(task::spawn(service.call("b")).poll());
    assert_eq!(open_of(&error).retry_after(), None);
    assert_ready_ok!(service.poll_ready());
    let _response = service.call("c");
    assert_eq!(handle.next_request().await.unwrap().0, "c");
}

#[tokio::test]
async fn what_was_reserved_is_released_when_the_breaker_opens() {
    let permit = OnePermit::default();
    let is_held = || permit.is_held();
    let layer = CircuitBreakerLayer::new(policy(1));
    for layer in [layer.clone(), layer.wait_while_open()] {
        let (layer, breaker) = layer.shared();
        let mut service = mock::Spawn::new(layer.layer(permit.clone()));
        // It opens before the call.
        assert_ready_ok!(service.poll_ready::<&'static str>());
        assert!(is_held());
        breaker.force_open();
        assert_ready_err!(task::spawn(service.call("a")).poll());
        assert!(!is_held());
        // It opens before another poll.
        breaker.reset();
        assert_ready_ok!(service.poll_ready::<&'static str>());
        assert!(is_held());
        breaker.force_open();
        let _polled = service.poll_ready::<&'static str>();
        assert!(!is_held());
    }
}

#[tokio::test]
async fn a_failed_inner_service_fails_the_breaker() {
    let (service, mut handle) = mock::pair::<&'static str, &'static str>();
    let mut service = mock::Spawn::new(CircuitBreaker::new(service, policy(1)));
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.send_error("broken");
    let error = assert_ready_err!(service.poll_ready());
    assert_eq!(error.to_string(), "broken");
}

#[tokio::test(start_paused = true)]
async fn clones_and_services_of_a_shared_layer_have_one_breaker_and_others_their_own() {
    let each = CircuitBreakerLayer::new(policy(1));
    let (first, second) = (
        each.layer(service_fn(respond)),
        each.layer(service_fn(respond)),
    );
    run(&first, "down").await.unwrap_err();
    open_of(&run(&first, "ok").await.unwrap_err());
    run(&second, "ok").await.unwrap();

    let (shared, breaker) = each.shared();
    let (first, second) = (
        shared.layer(service_fn(respond)),
        shared.clone().layer(service_fn(respond)),
    );
    run(&first, "down").await.unwrap_err();
    open_of(&run(&second, "ok").await.unwrap_err());
    breaker.reset();
    run(&second, "ok").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_handle_forces_it_open_and_closed() {
    let service = CircuitBreaker::new(service_fn(respond), policy(1));
    let breaker: BreakerHandle = service.breaker();
    breaker.force_open();
    advance(1000 * SECOND).await;
    open_of(&run(&service, "ok").await.unwrap_err());
    breaker.force_closed();
    for _ in 0..5 {
        assert_eq!(run(&service, "down").await.unwrap_err().to_string(), "down");
    }
    assert_eq!(breaker.state(), State::ForcedClosed);
    breaker.reset();
    run(&service, "down").await.unwrap_err();
    assert!(matches!(breaker.state(), State::Open { .. }));
}

#[tokio::test(start_paused = true)]
async fn an_observer_may_use_the_handle() {
    let slot: Arc<Mutex<Option<BreakerHandle>>> = Arc::default();
    let states = Arc::new(Mutex::new(Vec::new()));
    let (known, seen) = (Arc::clone(&slot), Arc::clone(&states));
    let (layer, breaker) = CircuitBreakerLayer::new(policy(1))
        .on_event(move |_| {
            let breaker = known.lock().unwrap().clone().unwrap();
            seen.lock().unwrap().push(breaker.state());
            breaker.force_closed();
        })
        .shared();
    *slot.lock().unwrap() = Some(breaker);
    let service = layer.layer(service_fn(respond));
    run(&service, "down").await.unwrap_err();
    assert!(matches!(
        states.lock().unwrap()[..],
        [State::Open { .. }, State::ForcedClosed]
    ));
    slot.lock().unwrap().take();
}

#[tokio::test(start_paused = true)]
async fn a_fallback_responds_while_it_is_open() {
    let (layer, breaker) = CircuitBreakerLayer::new(policy(1))
        .fallback(|request: &'static str, open: Open| async move {
            assert_eq!(open.retry_after(), None);
            match request {
                "ok" => Ok("fallback"),
                other => Err(other.into()),
            }
        })
        .shared();
    let service = layer.layer(service_fn(respond));
    assert_eq!(run(&service, "ok").await.unwrap(), "ok");
    breaker.force_open();
    assert_eq!(run(&service, "ok").await.unwrap(), "fallback");
    assert_eq!(run(&service, "no").await.unwrap_err().to_string(), "no");
}

#[tokio::test(start_paused = true)]
async fn a_classification_decides_what_is_a_failure() {
    use tower_classify::{Class, Failure, FailureKind, Pushback};

    let layer =
        CircuitBreakerLayer::new(policy(1)).classify(|result: Result<&&'static str, &BoxError>| {
            match result {
                Ok(&"ok") => Failure::new(FailureKind::Unavailable)
                    .with_pushback(Some(Pushback::After(7 * SECOND)))
                    .into(),
                Ok(_) => Class::Success,
                Err(_) => Class::Ignored,
            }
        });
    let service = layer.layer(service_fn(respond));
    for _ in 0..3 {
        run(&service, "error").await.unwrap_err();
    }
    run(&service, "ok").await.unwrap();
    let error = run(&service, "ok").await.unwrap_err();
    assert_eq!(open_of(&error).retry_after(), Some(7 * SECOND));
}

#[cfg(feature = "http")]
#[tokio::test(start_paused = true)]
async fn the_retry_after_of_a_response_decides_when_it_is_probed() {
    use http::{Request, Response};
    use tower_classify::http::HttpClassify;

    let layer = CircuitBreakerLayer::new(policy(1)).classify(HttpClassify::new());
    let service = layer.layer(service_fn(async |_: Request<()>| {
        let response = Response::builder().status(503).header("retry-after", "20");
        Ok::<_, BoxError>(response.body(()).unwrap())
    }));
    let response = service.clone().oneshot(Request::new(())).await.unwrap();
    assert_eq!(response.status(), 503);
    let error = service.oneshot(Request::new(())).await.unwrap_err();
    assert_eq!(open_of(&error).retry_after(), Some(20 * SECOND));
}

#[test]
fn a_policy_out_of_range_is_an_error() {
    let bad = || BreakerPolicy::never().failure_ratio(2.0);
    assert!(CircuitBreakerLayer::try_new(bad()).is_err());
    assert!(CircuitBreaker::try_new((), bad()).is_err());
    assert!(catch_unwind(|| CircuitBreakerLayer::new(bad())).is_err());
}

// ---- Waiting while open ----

fn waiting(failures: u32) -> CircuitBreakerLayer {
    CircuitBreakerLayer::new(policy(failures)).wait_while_open()
}

/// A mock that is always ready, and two handles that wait.
fn two_waiting() -> (
    [mock::Spawn<CircuitBreaker<Service_>>; 2],
    mock::Handle<&'static str, &'static str>,
    BreakerHandle,
) {
    let (service, mut handle) = mock::pair();
    handle.allow(u64::MAX);
    let service = waiting(1).layer(service);
    let breaker = service.breaker();
    let services = [service.clone(), service].map(mock::Spawn::new);
    (services, handle, breaker)
}

async fn fail<F>(response: F, handle: &mut mock::Handle<&'static str, &'static str>)
where
    F: Future<Output = Result<&'static str, BoxError>>,
{
    let mut response = task::spawn(response);
    assert_pending!(response.poll());
    handle.next_request().await.unwrap().1.send_error("down");
    assert_eq!(assert_ready_err!(response.poll()).to_string(), "down");
}

#[tokio::test(start_paused = true)]
async fn a_waiter_is_woken_when_the_probe_time_comes() {
    let ([mut first, mut second], mut handle, _) = two_waiting();
    assert_ready_ok!(first.poll_ready());
    assert_ready_ok!(second.poll_ready());
    fail(first.call("a"), &mut handle).await;
    // A handle that was ready is woken too, so that a balancer does not pick it.
    assert!(second.is_woken());
    assert_pending!(second.poll_ready());
    assert_pending!(first.poll_ready());
    advance(SECOND - MS).await;
    assert!(!second.is_woken() && !first.is_woken());
    advance(2 * MS).await;
    assert!(second.is_woken() && first.is_woken());

    // Only one probes, and the other waits for its result.
    assert_ready_ok!(second.poll_ready());
    assert_pending!(first.poll_ready());
    let mut probe = task::spawn(second.call("b"));
    assert_pending!(probe.poll());
    assert!(!first.is_woken());
    handle.next_request().await.unwrap().1.send_response("c");
    assert_ready_ok!(probe.poll());
    assert!(first.is_woken());
    assert_ready_ok!(first.poll_ready());
}

#[tokio::test(start_paused = true)]
async fn a_failed_probe_lets_the_others_wait_longer() {
    let ([mut first, mut second], mut handle, _) = two_waiting();
    assert_ready_ok!(first.poll_ready());
    fail(first.call("a"), &mut handle).await;
    assert_pending!(second.poll_ready());
    advance(SECOND + MS).await;
    assert_ready_ok!(first.poll_ready());
    fail(first.call("b"), &mut handle).await;
    assert!(second.is_woken());
    assert_pending!(second.poll_ready());
    advance(SECOND).await;
    assert!(!second.is_woken());
    advance(SECOND + MS).await;
    assert!(second.is_woken());
    assert_ready_ok!(second.poll_ready());
}

#[tokio::test(start_paused = true)]
async fn a_reserved_probe_is_released_when_its_handle_is_dropped_and_not_cloned() {
    let ([mut first, mut second], mut handle, breaker) = two_waiting();
    assert_ready_ok!(first.poll_ready());
    fail(first.call("a"), &mut handle).await;
    advance(SECOND + MS).await;
    assert_ready_ok!(first.poll_ready());
    // Polling again keeps the reservation.
    assert_ready_ok!(first.poll_ready());
    assert_pending!(second.poll_ready());
    let mut clone = mock::Spawn::new(first.get_ref().clone());
    assert_pending!(clone.poll_ready());
    drop(first);
    assert!(second.is_woken() && clone.is_woken());
    assert_ready_ok!(second.poll_ready());
    assert_pending!(clone.poll_ready());
    assert_eq!(breaker.state(), State::HalfOpen);
}

#[tokio::test(start_paused = true)]
async fn a_reserved_probe_is_released_when_there_is_no_request() {
    let ([mut first, mut second], mut handle, _) = two_waiting();
    assert_ready_ok!(first.poll_ready());
    fail(first.call("a"), &mut handle).await;
    advance(SECOND + MS).await;
    for without in ["release", "drive"] {
        assert_ready_ok!(first.poll_ready());
        assert_pending!(second.poll_ready());
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        match without {
            "release" => release(first.get_mut(), cx).unwrap(),
            _ => assert_ready_ok!(drive(first.get_mut(), cx)),
        }
        assert!(second.is_woken(), "{without}");
        assert_ready_ok!(second.poll_ready());
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        release(second.get_mut(), cx).unwrap();
    }
}

/// As of a balancer, which calls an endpoint that was ready when it was driven.
#[tokio::test(start_paused = true)]
async fn a_driven_handle_takes_its_probe_when_it_is_called() {
    let ([mut first, mut second], mut handle, _) = two_waiting();
    assert_ready_ok!(first.poll_ready());
    fail(first.call("a"), &mut handle).await;
    advance(SECOND + MS).await;
    let cx = &mut Context::from_waker(std::task::Waker::noop());
    assert_ready_ok!(drive(first.get_mut(), cx));
    let _probe = first.call("b");
    assert_eq!(handle.next_request().await.unwrap().0, "b");
    assert_pending!(second.poll_ready());
}

#[tokio::test(start_paused = true)]
async fn no_probe_is_reserved_while_the_inner_service_is_not_ready() {
    let (service, mut handle) = mock::pair::<&'static str, &'static str>();
    let service = waiting(1).layer(service);
    let breaker = service.breaker();
    let [mut first, mut second] = [service.clone(), service].map(mock::Spawn::new);
    handle.allow(1);
    assert_ready_ok!(first.poll_ready());
    fail(first.call("a"), &mut handle).await;
    advance(SECOND + MS).await;
    assert_pending!(first.poll_ready());
    assert_pending!(second.poll_ready());
    assert_eq!(breaker.state(), State::HalfOpen);
    handle.allow(1);
    assert!(second.is_woken());
    assert_ready_ok!(second.poll_ready());
}

#[tokio::test(start_paused = true)]
async fn every_control_wakes_the_waiters() {
    let ([mut first, _], _handle, breaker) = two_waiting();
    breaker.force_open();
    assert_pending!(first.poll_ready());
    advance(1000 * SECOND).await;
    assert!(!first.is_woken());
    breaker.force_closed();
    assert!(first.is_woken());
    assert_ready_ok!(first.poll_ready());
    breaker.force_open();
    assert!(first.is_woken());
    assert_pending!(first.poll_ready());
    breaker.reset();
    assert!(first.is_woken());
    assert_ready_ok!(first.poll_ready());
}

/// Ready while the flag is set.
#[derive(Clone)]
struct Switched(Arc<AtomicBool>);

impl Service<&'static str> for Switched {
    type Response = &'static str;
    type Error = BoxError;
    type Future = std::future::Ready<Result<&'static str, BoxError>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self.0.load(Ordering::Relaxed) {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        }
    }

    fn call(&mut self, request: &'static str) -> Self::Future {
        std::future::ready(match request {
            "down" => Err(request.into()),
            _ => Ok(request),
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_is_released_when_the_inner_service_is_no_longer_ready() {
    let is_ready = Arc::new(AtomicBool::new(true));
    let service = waiting(1).layer(Switched(Arc::clone(&is_ready)));
    let [mut first, mut second] = [service.clone(), service].map(mock::Spawn::new);
    assert_ready_ok!(first.poll_ready());
    assert_ready_err!(task::spawn(first.call("down")).poll());
    advance(SECOND + MS).await;
    assert_ready_ok!(first.poll_ready());
    assert_pending!(second.poll_ready());
    is_ready.store(false, Ordering::Relaxed);
    assert_pending!(first.poll_ready());
    assert!(second.is_woken());
    is_ready.store(true, Ordering::Relaxed);
    assert_ready_ok!(second.poll_ready());
}

#[tokio::test(start_paused = true)]
async fn a_handle_with_a_reservation_is_woken_by_every_change() {
    let service = CircuitBreakerLayer::new(policy(1).probes(2, 2))
        .wait_while_open()
        .layer(Switched(Arc::new(AtomicBool::new(true))));
    let breaker = service.breaker();
    let [mut first, mut second] = [service.clone(), service].map(mock::Spawn::new);
    assert_ready_ok!(first.poll_ready());
    assert_ready_err!(task::spawn(first.call("down")).poll());
    advance(SECOND + MS).await;
    assert_ready_ok!(first.poll_ready());
    assert_ready_ok!(second.poll_ready());
    drop(second);
    assert!(first.is_woken());
    assert_ready_ok!(first.poll_ready());
    breaker.force_open();
    assert!(first.is_woken());
    assert_pending!(first.poll_ready());
    breaker.reset();
    assert!(first.is_woken());
}

/// A reservation of a time that is over is none.
#[tokio::test(start_paused = true)]
async fn a_reservation_does_not_outlive_its_state() {
    let ([mut first, mut second], mut handle, breaker) = two_waiting();
    assert_ready_ok!(first.poll_ready());
    fail(first.call("a"), &mut handle).await;
    advance(SECOND + MS).await;
    assert_ready_ok!(first.poll_ready());
    breaker.force_open();
    let error = assert_ready_err!(task::spawn(first.call("b")).poll());
    open_of(&error);
    breaker.reset();
    assert_ready_ok!(second.poll_ready());
    fail(second.call("c"), &mut handle).await;
    assert_pending!(first.poll_ready());
}

/// Fails the first five requests. A probe takes 10 ms.
fn five_failures() -> (
    impl Service<(), Response = (), Error = BoxError, Future: Send> + Clone + Send + 'static,
    BreakerHandle,
) {
    let calls = Arc::new(AtomicUsize::new(0));
    let service = waiting(1).layer(service_fn(move |()| {
        let fails = calls.fetch_add(1, Ordering::Relaxed) < 5;
        async move {
            sleep(10 * MS).await;
            if fails {
                Err(BoxError::from("down"))
            } else {
                Ok(())
            }
        }
    }));
    let breaker = service.breaker();
    (service, breaker)
}

/// Many tasks, some of which are cancelled at any time: each of the others gets a response.
#[tokio::test(start_paused = true)]
async fn waiters_are_never_stuck() {
    for seed in 0..50_u64 {
        let (service, breaker) = five_failures();
        service.clone().oneshot(()).await.unwrap_err();
        let tasks = (0..40_u64).map(|task| {
            let service = service.clone();
            tokio::spawn(async move {
                // A third gives up, at various times.
                let patience = match (task + seed) % 3 {
                    0 => Duration::from_millis((task * 7919 + seed * 104_729) % 40_000),
                    _ => 1000 * SECOND,
                };
                let result = timeout(patience, service.oneshot(())).await;
                result.is_ok() || patience < 1000 * SECOND
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            assert!(task.await.unwrap(), "seed {seed}");
        }
        assert_eq!(breaker.state(), State::Closed, "seed {seed}");
    }
}

#[tokio::test]
async fn polled_after_completion_it_stays_pending() {
    let service = CircuitBreaker::new(service_fn(respond), policy(1));
    service.breaker().force_open();
    let mut service = service;
    std::future::poll_fn(|cx| service.poll_ready(cx))
        .await
        .unwrap();
    let mut response = task::spawn(service.call("ok"));
    assert_ready!(response.poll()).unwrap_err();
    assert!(matches!(response.poll(), Poll::Pending));
}
