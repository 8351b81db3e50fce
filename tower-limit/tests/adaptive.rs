//! The adaptive limit as a service.
#![cfg(feature = "adaptive")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, advance};
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task};
use tower_classify::{Class, FailureKind};
use tower_layer::Layer;
use tower_limit::adaptive::{
    AdaptiveConcurrencyLimit, AdaptiveConcurrencyLimitLayer, Handle, Limit,
};
use tower_limit::error::{LimitExceeded, LimitKind};
use tower_limit::{BoxError, Event};
use tower_readiness::drive;
use tower_service::Service;
use tower_test::mock::{self, Mock, SendResponse, Spawn};

type Inner = Mock<u32, u32>;
type Adaptive<C = tower_classify::ErrorIsFailure> = AdaptiveConcurrencyLimit<Inner, Script, C>;

const MS: Duration = Duration::from_millis(1);

/// A limit that is what the test says, from the next sample on.
#[derive(Clone)]
struct Script {
    next: Arc<AtomicUsize>,
    limit: usize,
    samples: Arc<Mutex<Vec<Sample>>>,
}

/// Latency, requests in flight, dropped.
type Sample = (Duration, usize, bool);

impl Script {
    fn new(limit: usize) -> Self {
        Self {
            next: Arc::new(AtomicUsize::new(limit)),
            limit,
            samples: Arc::default(),
        }
    }

    fn set(&self, limit: usize) {
        self.next.store(limit, Ordering::Relaxed);
    }

    fn samples(&self) -> Vec<Sample> {
        std::mem::take(&mut self.samples.lock().unwrap())
    }
}

impl Limit for Script {
    fn sample(&mut self, _now: Instant, rtt: Duration, in_flight: usize, dropped: bool) {
        self.limit = self.next.load(Ordering::Relaxed);
        self.samples.lock().unwrap().push((rtt, in_flight, dropped));
    }

    fn limit(&self) -> usize {
        self.limit
    }
}

struct Test {
    script: Script,
    service: Spawn<Adaptive>,
    server: mock::Handle<u32, u32>,
    limit: Handle<Script>,
}

impl Test {
    fn new(limit: usize) -> Self {
        let script = Script::new(limit);
        let layer = AdaptiveConcurrencyLimitLayer::new(script.clone());
        let limit = layer.handle();
        let (service, server) = mock::spawn_layer(layer);
        Self {
            script,
            service,
            server,
            limit,
        }
    }

    /// Sends a request, which must be admitted.
    fn send(
        &mut self,
    ) -> (
        task::Spawn<<Adaptive as Service<u32>>::Future>,
        SendResponse<u32>,
    ) {
        assert_ready_ok!(self.service.poll_ready());
        let mut response = task::spawn(self.service.call(1));
        assert_pending!(response.poll());
        let (_, answer) = assert_ready!(self.server.poll_request()).unwrap();
        (response, answer)
    }
}

fn is_ready(service: &mut Spawn<Adaptive>) -> bool {
    match service.poll_ready() {
        std::task::Poll::Ready(result) => result.is_ok(),
        std::task::Poll::Pending => false,
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_is_sampled_with_its_latency_and_the_requests_in_flight() {
    let mut test = Test::new(5);
    let (mut first, answer) = test.send();
    advance(10 * MS).await;
    let _second = test.send();
    let _third = test.send();
    assert_eq!(test.limit.in_flight(), 3);
    advance(20 * MS).await;
    answer.send_response(7);
    assert_eq!(assert_ready_ok!(first.poll()), 7);
    assert_eq!(test.script.samples(), [(30 * MS, 3, false)]);
    assert_eq!(test.limit.in_flight(), 2, "its permit is returned");
}

#[tokio::test(start_paused = true)]
async fn waiters_are_woken_when_the_limit_rises() {
    let mut test = Test::new(2);
    let (mut first, answer) = test.send();
    let _second = test.send();
    let mut waiters: Vec<_> = (0..4).map(|_| test.service.clone()).collect();
    for waiter in &mut waiters {
        assert_pending!(waiter.poll_ready());
    }
    test.script.set(4);
    answer.send_response(0);
    assert_ready_ok!(first.poll());
    // Two more, and the one of the request that has ended. A waiter that takes a permit wakes the next.
    for waiter in &mut waiters[..3] {
        assert!(waiter.is_woken());
        assert_ready_ok!(waiter.poll_ready());
    }
    assert_pending!(waiters[3].poll_ready());
    assert_eq!(test.limit.in_flight(), 4);
}

/// The request whose response raises the limit keeps its permit.
#[cfg(feature = "http")]
#[tokio::test(start_paused = true)]
async fn waiters_are_woken_when_the_limit_rises_and_no_permit_is_returned() {
    let script = Script::new(1);
    let layer = AdaptiveConcurrencyLimitLayer::new(script.clone());
    let limit = layer.handle();
    let (mut service, mut server) =
        mock::spawn_layer::<u32, http::Response<String>, _>(layer.hold_until_body_end());
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(1));
    assert_pending!(service.poll_ready());
    script.set(2);
    let (_, answer) = assert_ready!(server.poll_request()).unwrap();
    answer.send_response(http::Response::new("body".into()));
    let held = assert_ready_ok!(response.poll());
    assert_eq!(limit.in_flight(), 1);
    assert!(service.is_woken());
    assert_ready_ok!(service.poll_ready());
    drop((held, service));
    assert_eq!(limit.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_falls_admits_none_until_enough_have_ended() {
    let mut test = Test::new(4);
    let mut requests: Vec<_> = (0..4).map(|_| test.send()).collect();
    let mut waiter = test.service.clone();
    assert_pending!(waiter.poll_ready());
    test.script.set(2);
    for in_flight in [3, 2] {
        let (mut response, answer) = requests.pop().unwrap();
        answer.send_response(0);
        assert_ready_ok!(response.poll());
        assert_eq!(test.limit.limit(), 2);
        assert_eq!(test.limit.in_flight(), in_flight);
        assert!(!waiter.is_woken());
        assert_pending!(waiter.poll_ready());
    }
    assert_eq!(
        test.script.samples().last(),
        Some(&(Duration::ZERO, 3, false))
    );
    drop(requests.pop());
    assert!(waiter.is_woken());
    assert_ready_ok!(waiter.poll_ready());
    drop((requests, waiter));
    assert_eq!(test.limit.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_falls_and_rises_again_admits_as_many_as_it_says() {
    let mut test = Test::new(4);
    let mut requests: Vec<_> = (0..4).map(|_| test.send()).collect();
    for limit in [1, 2, 7] {
        test.script.set(limit);
        let (mut response, answer) = requests.pop().unwrap();
        answer.send_response(0);
        assert_ready_ok!(response.poll());
    }
    let handles: Vec<_> = std::iter::repeat_with(|| test.service.clone())
        .map(|mut handle| (is_ready(&mut handle), handle))
        .take_while(|(ready, _)| *ready)
        .collect();
    assert_eq!((requests.len(), handles.len()), (1, 6));
    assert_eq!(test.limit.in_flight(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_zero_admits_one() {
    let mut test = Test::new(0);
    assert_eq!(test.limit.limit(), 1);
    test.script.set(0);
    let (mut response, answer) = test.send();
    answer.send_response(0);
    assert_ready_ok!(response.poll());
    assert_ready_ok!(test.service.poll_ready());
}

#[tokio::test(start_paused = true)]
async fn results_count_by_their_class() {
    let classes: [(Class, Option<bool>); 10] = [
        (Class::Success, Some(false)),
        (Class::Unsent, None),
        (Class::Ignored, None),
        (Class::failure(FailureKind::Internal), None),
        (Class::failure(FailureKind::Unknown), None),
        (Class::failure(FailureKind::Disconnected), None),
        (Class::failure(FailureKind::Overloaded), Some(true)),
        (Class::failure(FailureKind::Unavailable), Some(true)),
        (Class::failure(FailureKind::Timeout), Some(true)),
        (Class::Success, Some(false)),
    ];
    for (class, expected) in classes {
        for fails in [false, true] {
            let script = Script::new(9);
            let classify = move |_: Result<&u32, &BoxError>| class;
            let layer = AdaptiveConcurrencyLimitLayer::new(script.clone()).classify(classify);
            let limit = layer.handle();
            let (mut service, mut server): (Spawn<Adaptive<_>>, _) = mock::spawn_layer(layer);
            assert_ready_ok!(service.poll_ready());
            let mut response = task::spawn(service.call(1));
            let (_, answer) = assert_ready!(server.poll_request()).unwrap();
            advance(MS).await;
            if fails {
                answer.send_error("failed");
            } else {
                answer.send_response(0);
            }
            assert!(response.poll().is_ready());
            let samples: Vec<_> = expected
                .map(|dropped| (MS, 1, dropped))
                .into_iter()
                .collect();
            assert_eq!(script.samples(), samples, "{class:?}");
            assert_eq!(limit.in_flight(), 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_request_is_a_drop_if_it_had_waited_for_too_long() {
    let mut test = Test::new(9);
    drop(test.send());
    assert_eq!(test.script.samples(), [], "no latency is known");
    let (mut response, answer) = test.send();
    advance(10 * MS).await;
    answer.send_response(0);
    assert_ready_ok!(response.poll());
    test.script.samples();

    // The average is 10 ms, and its deviation 5 ms.
    for (waited, dropped) in [(30, false), (31, true)] {
        let request = test.send();
        advance(waited * MS).await;
        drop(request);
        let expected: &[Sample] = if dropped {
            &[(waited * MS, 1, true)]
        } else {
            &[]
        };
        assert_eq!(test.script.samples(), expected);
        assert_eq!(test.limit.in_flight(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_has_ended_is_not_cancelled_as_well() {
    let mut test = Test::new(9);
    let (mut response, answer) = test.send();
    advance(MS).await;
    answer.send_response(0);
    assert_ready_ok!(response.poll());
    advance(1000 * MS).await;
    test.script.samples();
    drop(response);
    assert_eq!(test.script.samples(), []);
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_returned_by_a_ready_handle_that_is_dropped_and_not_inherited_by_clones() {
    let mut test = Test::new(1);
    assert_ready_ok!(test.service.poll_ready());
    let mut clone = test.service.clone();
    assert_pending!(clone.poll_ready());
    assert_eq!(test.limit.in_flight(), 1);
    drop(test.service);
    assert!(clone.is_woken());
    assert_ready_ok!(clone.poll_ready());
}

#[tokio::test(start_paused = true)]
async fn a_driven_service_holds_no_permit() {
    let mut test = Test::new(1);
    assert_ready_ok!(test.service.poll_ready());
    let mut driven = task::spawn(std::future::poll_fn(|cx| {
        drive::<_, u32>(test.service.get_mut(), cx)
    }));
    assert_ready_ok!(driven.poll());
    drop(driven);
    assert_eq!(test.limit.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn services_of_a_layer_share_the_limit() {
    let layer = AdaptiveConcurrencyLimitLayer::new(Script::new(1));
    let (mut first, _a): (Spawn<Adaptive>, _) = mock::spawn_with(|inner| layer.layer(inner));
    let (mut second, _b): (Spawn<Adaptive>, _) = mock::spawn_with(|inner| layer.layer(inner));
    assert_ready_ok!(first.poll_ready());
    assert_pending!(second.poll_ready());
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_inner_service_returns_the_permit() {
    let mut test = Test::new(1);
    let (mut response, answer) = test.send();
    answer.send_error("failed");
    assert_eq!(assert_ready_err!(response.poll()).to_string(), "failed");
    assert_eq!(test.script.samples(), [], "of unknown kind");
    assert_ready_ok!(test.service.poll_ready());
}

#[tokio::test(start_paused = true)]
async fn a_shedding_limit_refuses_and_tells_it() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&events);
    let script = Script::new(1);
    let layer = AdaptiveConcurrencyLimitLayer::new(script.clone())
        .on_event(move |event| seen.lock().unwrap().push(*event))
        .shed();
    let (mut service, mut server) = mock::spawn_layer::<u32, u32, _>(layer);
    assert_ready_ok!(service.poll_ready());
    let mut first = task::spawn(service.call(1));
    assert_ready_ok!(service.poll_ready());
    let error = assert_ready_err!(task::spawn(service.call(1)).poll());
    let refused = error.downcast_ref::<LimitExceeded>().unwrap();
    assert_eq!(refused.limit(), LimitKind::Concurrency);
    assert_eq!(refused.retry_after(), None);

    script.set(3);
    let (_, answer) = assert_ready!(server.poll_request()).unwrap();
    answer.send_response(0);
    assert_ready_ok!(first.poll());
    let expected = [
        Event::Refused {
            limit: LimitKind::Concurrency,
            retry_after: None,
        },
        Event::Changed { from: 1, to: 3 },
    ];
    assert_eq!(*events.lock().unwrap(), expected);
    let mut admitted: Vec<_> = (0..3).map(|_| service.clone()).collect();
    for service in &mut admitted {
        assert_ready_ok!(service.poll_ready());
        assert_pending!(task::spawn(service.call(1)).poll());
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_no_longer_than_the_maximum() {
    let layer = AdaptiveConcurrencyLimitLayer::new(Script::new(1)).max_wait(10 * MS);
    let (mut service, _server) = mock::spawn_layer::<u32, u32, _>(layer);
    assert_ready_ok!(service.poll_ready());
    let _first = service.call(1);
    assert_pending!(service.poll_ready());
    advance(10 * MS).await;
    assert!(service.is_woken());
    assert_ready_ok!(service.poll_ready());
    let error = assert_ready_err!(task::spawn(service.call(1)).poll());
    assert!(error.is::<LimitExceeded>());
}
