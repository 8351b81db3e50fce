//! The settings of the builder: delays, attempts, classification, the share of hedges.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::{Instant, advance};
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task};
use tower_classify::{Class, Failure, FailureKind, Pushback, with_request};
use tower_hedge::{BoxError, Builder, Event, HedgeLayer, InvalidHedge, Policy};
use tower_layer::Layer;
use tower_retry::budget::Budget;
use tower_test::mock::{self, Handle, SendResponse};
use tower_util::rng::{Rng, SplitMix};
use tower_util::{ServiceExt, service_fn};

const MS: Duration = Duration::from_millis(1);
const DELAY: Duration = Duration::from_millis(100);
/// The next attempt is sent immediately.
const NOW: Option<Pushback> = Some(Pushback::After(Duration::ZERO));

/// A budget of a fixed number of hedges.
struct Allow(AtomicU32);

impl Budget for Allow {
    fn deposit(&self) {}

    fn withdraw(&self) -> bool {
        let less = |left: u32| left.checked_sub(1);
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok()
    }
}

fn allow(hedges: u32) -> Builder {
    HedgeLayer::builder().budget(Arc::new(Allow(hedges.into())))
}

/// Responses from 0 to 99 win, up to 199 lose, and others are fatal.
fn judge(pushback: Option<Pushback>) -> impl Fn(Result<&u32, &BoxError>) -> Class + Clone {
    let lost = Failure::new(FailureKind::Unavailable).with_pushback(pushback);
    move |result| match result {
        Ok(0..100) => Class::Success,
        Ok(100..200) => Class::Failure(lost),
        Ok(_) => Class::failure(FailureKind::Internal),
        Err(_) => Class::Ignored,
    }
}

fn next_request(handle: &mut Handle<u32, u32>) -> SendResponse<u32> {
    assert_ready!(handle.poll_request()).unwrap().1
}

/// Returns a spawned service of this layer, its handle, and the response future of its first request, polled once.
macro_rules! call {
    ($layer:expr) => {{
        let (mut service, mut handle) = mock::spawn_layer::<u32, u32, _>($layer.build().unwrap());
        assert_ready_ok!(service.poll_ready());
        let mut response = task::spawn(service.call(1));
        let first = next_request(&mut handle);
        assert_pending!(response.poll());
        (service, handle, response, first)
    }};
}

#[tokio::test(start_paused = true)]
async fn a_fixed_delay_needs_no_samples() {
    let (_service, mut handle, mut response, first) =
        call!(allow(9).when(|_: &u32| true).delay(DELAY));
    advance(DELAY - MS).await;
    assert_pending!(response.poll());
    assert_pending!(handle.poll_request());
    advance(2 * MS).await;
    assert_pending!(response.poll());
    next_request(&mut handle).send_response(7);
    assert_eq!(assert_ready_ok!(response.poll()), 7);
    assert!(first.is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn each_attempt_waits_for_the_previous_one() {
    let layer = allow(9).when(|_: &u32| true).delay(DELAY).attempts(4);
    let (_service, mut handle, mut response, first) = call!(layer);
    let mut sent = vec![first];
    for _ in 0..3 {
        advance(DELAY - MS).await;
        assert_pending!(response.poll());
        assert_pending!(handle.poll_request());
        advance(2 * MS).await;
        assert_pending!(response.poll());
        sent.push(next_request(&mut handle));
    }
    advance(10 * DELAY).await;
    assert_pending!(response.poll());
    assert_pending!(handle.poll_request());
    sent.remove(2).send_response(7);
    assert!(response.is_woken());
    assert_eq!(assert_ready_ok!(response.poll()), 7);
    assert!(sent.iter_mut().all(|loser| loser.is_cancelled()));
}

#[tokio::test(start_paused = true)]
async fn without_a_delay_all_attempts_are_sent_immediately() {
    let layer = allow(3).when(|_: &u32| true).attempts(5);
    let (_service, mut handle, mut response, _first) = call!(layer.delay(Duration::ZERO));
    let mut sent: Vec<_> = (0..3).map(|_| next_request(&mut handle)).collect();
    assert_pending!(handle.poll_request());
    sent.remove(2).send_response(7);
    assert_eq!(assert_ready_ok!(response.poll()), 7);
    assert!(sent.iter_mut().all(|loser| loser.is_cancelled()));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_may_not_be_hedged_is_sent_once() {
    let (_service, mut handle, mut response, first) =
        call!(allow(9).when(|n: &u32| *n != 1).delay(DELAY));
    advance(2 * DELAY).await;
    assert_pending!(response.poll());
    assert_pending!(handle.poll_request());
    first.send_response(7);
    assert_eq!(assert_ready_ok!(response.poll()), 7);
}

#[tokio::test(start_paused = true)]
async fn a_losing_attempt_waits_for_the_other() {
    let layer = allow(9).when(|_: &u32| true).delay(DELAY);
    let (_service, mut handle, mut response, first) = call!(layer.classify(judge(None)));
    advance(DELAY + MS).await;
    assert_pending!(response.poll());
    let second = next_request(&mut handle);
    first.send_response(100);
    assert_pending!(response.poll());
    second.send_response(7);
    assert_eq!(assert_ready_ok!(response.poll()), 7);
}

#[tokio::test(start_paused = true)]
async fn if_all_lose_the_result_of_the_first_attempt_is_returned() {
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let layer = allow(9).when(|_: &u32| true).attempts(3);
        let layer = layer.delay(Duration::ZERO).classify(judge(None));
        let (_service, mut handle, mut response, first) = call!(layer);
        let mut sent = [
            Some(first),
            Some(next_request(&mut handle)),
            Some(next_request(&mut handle)),
        ];
        for (n, index) in (0..).zip(order) {
            sent[index]
                .take()
                .unwrap()
                .send_response(100 + index as u32);
            if n < 2 {
                assert_pending!(response.poll());
            }
        }
        assert_eq!(assert_ready_ok!(response.poll()), 100);
    }
}

/// Odd responses lose.
fn even_wins(result: Result<&u32, &BoxError>) -> Class {
    match result {
        Ok(n) if n % 2 == 0 => Class::Success,
        Ok(_) => Class::failure(FailureKind::Unavailable),
        Err(_) => Class::Unsent,
    }
}

#[tokio::test(start_paused = true)]
async fn a_losing_response_that_cannot_be_kept_is_returned() {
    let layer = allow(9).when(|_: &u32| true).delay(DELAY);
    let (_service, mut handle, mut response, first) =
        call!(layer.classify(even_wins).keep_errors());
    advance(DELAY + MS).await;
    assert_pending!(response.poll());
    let second = next_request(&mut handle);
    second.send_response(7);
    assert_eq!(assert_ready_ok!(response.poll()), 7);
    assert!(first.is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn the_error_of_the_first_attempt_is_kept() {
    let layer = allow(9).when(|_: &u32| true).delay(DELAY);
    let (_service, mut handle, mut response, first) =
        call!(layer.classify(even_wins).keep_errors());
    advance(DELAY + MS).await;
    assert_pending!(response.poll());
    let second = next_request(&mut handle);
    first.send_error("first");
    assert_pending!(response.poll());
    second.send_error("second");
    assert_eq!(assert_ready_err!(response.poll()).to_string(), "first");
}

/// Responses below 100 lose, depending on the request.
#[tokio::test(start_paused = true)]
async fn the_classification_can_depend_on_the_request() {
    for (loses, calls) in [(true, 2), (false, 1)] {
        let classify = with_request(
            |loses: &bool| *loses,
            |loses: &bool, _: Result<&usize, &BoxError>| match loses {
                true => Class::Failure(Failure::new(FailureKind::Unavailable).with_pushback(NOW)),
                false => Class::Success,
            },
        );
        let layer = allow(9).when(|_: &bool| true).delay(DELAY);
        let sent = Cell::new(0);
        let service = service_fn(|_: bool| {
            sent.set(sent.get() + 1);
            std::future::ready(Ok::<_, BoxError>(sent.get()))
        });
        let service = layer.classify(classify).build().unwrap().layer(service);
        assert_eq!(service.oneshot(loses).await.unwrap(), 1);
        assert_eq!(sent.get(), calls);
    }
}

#[tokio::test(start_paused = true)]
async fn a_fatal_result_ends_the_request() {
    for fail in [false, true] {
        let layer = allow(9).when(|_: &u32| true).delay(DELAY);
        let (_service, mut handle, mut response, first) = call!(layer.classify(judge(None)));
        advance(DELAY + MS).await;
        assert_pending!(response.poll());
        let second = next_request(&mut handle);
        if fail {
            second.send_error("broken");
            assert_eq!(assert_ready_err!(response.poll()).to_string(), "broken");
        } else {
            second.send_response(200);
            assert_eq!(assert_ready_ok!(response.poll()), 200);
        }
        assert!(first.is_cancelled());
    }
}

#[tokio::test(start_paused = true)]
async fn a_losing_result_is_returned_if_there_is_no_other_attempt() {
    let layer = allow(9).when(|_: &u32| true).delay(DELAY);
    let (_service, _handle, mut response, first) = call!(layer.classify(judge(None)));
    first.send_response(100);
    assert_eq!(assert_ready_ok!(response.poll()), 100);
}

#[tokio::test(start_paused = true)]
async fn a_pushback_of_zero_sends_the_next_attempt_immediately() {
    let layer = allow(9).when(|_: &u32| true).delay(DELAY);
    let (_service, mut handle, mut response, first) = call!(layer.classify(judge(NOW)));
    first.send_response(100);
    assert_pending!(response.poll());
    let second = next_request(&mut handle);
    // There is no third attempt.
    second.send_response(101);
    assert_eq!(assert_ready_ok!(response.poll()), 100);
}

#[tokio::test(start_paused = true)]
async fn a_losing_result_is_returned_if_the_budget_allows_no_other_attempt() {
    let layer = allow(0).when(|_: &u32| true).delay(DELAY);
    let (_service, mut handle, mut response, first) = call!(layer.classify(judge(NOW)));
    first.send_response(100);
    assert_eq!(assert_ready_ok!(response.poll()), 100);
    assert_pending!(handle.poll_request());
}

#[tokio::test(start_paused = true)]
async fn a_pushback_determines_when_the_next_attempt_is_sent() {
    let pushback = 5 * DELAY;
    let layer = allow(9).when(|_: &u32| true).attempts(4).delay(DELAY);
    let (_service, mut handle, mut response, first) =
        call!(layer.classify(judge(Some(Pushback::After(pushback)))));
    advance(DELAY + MS).await;
    assert_pending!(response.poll());
    let _second = next_request(&mut handle);
    first.send_response(100);
    assert_pending!(response.poll());
    advance(pushback - MS).await;
    assert_pending!(response.poll());
    assert_pending!(handle.poll_request());
    advance(2 * MS).await;
    assert_pending!(response.poll());
    let _third = next_request(&mut handle);
    // From here on the usual delay applies.
    advance(DELAY + MS).await;
    assert_pending!(response.poll());
    next_request(&mut handle).send_response(7);
    assert_eq!(assert_ready_ok!(response.poll()), 7);
}

#[tokio::test(start_paused = true)]
async fn after_pushback_never_there_is_no_other_attempt() {
    let layer = allow(9).when(|_: &u32| true).attempts(3).delay(DELAY);
    let (_service, mut handle, mut response, first) =
        call!(layer.classify(judge(Some(Pushback::Never))));
    advance(DELAY + MS).await;
    assert_pending!(response.poll());
    let second = next_request(&mut handle);
    first.send_response(100);
    assert_pending!(response.poll());
    advance(10 * DELAY).await;
    assert_pending!(response.poll());
    assert_pending!(handle.poll_request());
    second.send_response(7);
    assert_eq!(assert_ready_ok!(response.poll()), 7);
}

#[tokio::test(start_paused = true)]
async fn the_observer_receives_events() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&events);
    let layer = allow(1)
        .when(|_: &u32| true)
        .attempts(3)
        .delay(DELAY)
        .on_event(move |event| log.lock().unwrap().push(*event));
    let (_service, mut handle, mut response, _first) = call!(layer);
    for _ in 0..2 {
        advance(DELAY + MS).await;
        assert_pending!(response.poll());
    }
    next_request(&mut handle).send_response(7);
    assert_ready_ok!(response.poll());
    let expected = [
        Event::Sent { attempt: 2 },
        Event::NoBudget,
        Event::Won { attempt: 2 },
    ];
    assert_eq!(*events.lock().unwrap(), expected);
}

/// Adds to each copy the number of attempts before it.
#[derive(Clone)]
struct Mark;

impl Policy<u32> for Mark {
    fn clone_request(&self, request: &u32) -> Option<u32> {
        Some(*request)
    }

    fn can_retry(&self, _request: &u32) -> bool {
        true
    }

    fn prepare_copy(_policy: &Self, request: &mut u32, attempts: u32) {
        *request += 10 * attempts;
    }
}

#[tokio::test(start_paused = true)]
async fn each_copy_is_marked_with_its_number() {
    let layer = allow(9).policy(Mark).attempts(3).delay(Duration::ZERO);
    let (_service, mut handle, _response, _first) = call!(layer);
    for expected in [11, 21] {
        let (request, _) = assert_ready!(handle.poll_request()).unwrap();
        assert_eq!(request, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn only_winning_attempts_are_measured() {
    for (answer, is_hedged) in [(7, true), (100, false), (200, false)] {
        let layer = allow(9)
            .when(|_: &u32| true)
            .percentile(0.5)
            .window(500 * MS)
            .classify(judge(None));
        let (mut service, mut handle) = mock::spawn_layer::<u32, u32, _>(layer.build().unwrap());
        for _ in 0..20 {
            assert_ready_ok!(service.poll_ready());
            let mut response = task::spawn(service.call(1));
            next_request(&mut handle).send_response(answer);
            assert_eq!(assert_ready_ok!(response.poll()), answer);
        }
        advance(DELAY).await;
        assert_ready_ok!(service.poll_ready());
        let mut response = task::spawn(service.call(1));
        let _first = next_request(&mut handle);
        assert_pending!(response.poll());
        // The floor applies, because the others took no time.
        advance(2 * MS).await;
        assert_pending!(response.poll());
        assert_eq!(handle.poll_request().is_ready(), is_hedged, "{answer}");
    }
}

#[test]
fn settings_out_of_range_are_rejected() {
    let builder = HedgeLayer::builder;
    let refused = [
        builder().percentile(0.0).build().unwrap_err(),
        builder().percentile(1.1).build().unwrap_err(),
        builder().window(Duration::ZERO).build().unwrap_err(),
        builder().attempts(1).build().unwrap_err(),
        builder().attempts(6).build().unwrap_err(),
        builder().max_extra(-0.1).build().unwrap_err(),
    ];
    let expected = [
        InvalidHedge::Percentile(0.0),
        InvalidHedge::Percentile(1.1),
        InvalidHedge::Window(Duration::ZERO),
        InvalidHedge::Attempts(1),
        InvalidHedge::Attempts(6),
        InvalidHedge::MaxExtra(-0.1),
    ];
    assert_eq!(refused, expected);
    for nan in [
        builder().percentile(f64::NAN).build(),
        builder().max_extra(f64::NAN).build(),
    ] {
        assert!(nan.unwrap_err().to_string().contains("NaN"));
    }
}

/// Sends requests one after another to a backend whose next request takes `took()`. Returns their latencies, and the
/// number of requests that the backend received.
async fn run(
    builder: Builder,
    requests: usize,
    took: impl Fn() -> Duration,
) -> (Vec<Duration>, usize) {
    let calls = AtomicUsize::new(0);
    let backend = service_fn(|_: u32| {
        calls.fetch_add(1, Ordering::Relaxed);
        let took = took();
        async move {
            tokio::time::sleep(took).await;
            Ok::<_, BoxError>(())
        }
    });
    let service = builder.when(|_: &u32| true).build().unwrap().layer(backend);
    let mut times = Vec::new();
    for _ in 0..requests {
        let began = Instant::now();
        service.clone().oneshot(1).await.unwrap();
        times.push(began.elapsed());
    }
    drop(service);
    (times, calls.into_inner())
}

#[tokio::test(start_paused = true)]
async fn hedging_halves_the_tail_for_two_percent_more_requests() {
    const REQUESTS: usize = 10_000;
    let p99 = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times[REQUESTS * 99 / 100]
    };
    // One in 50 is slow.
    let backend = || {
        let rng = RefCell::new(SplitMix::with_seed(7));
        move || match rng.borrow_mut().next_range(0..50) {
            0 => 2000 * MS,
            _ => 10 * MS,
        }
    };
    let builder = || HedgeLayer::builder().percentile(0.95);
    let (without, calls) = run(builder().max_extra(0.0), REQUESTS, backend()).await;
    assert_eq!(calls, REQUESTS);
    let (with, calls) = run(builder().max_extra(0.02), REQUESTS, backend()).await;
    assert!(calls > REQUESTS && calls <= REQUESTS * 102 / 100, "{calls}");
    let (with, without) = (p99(with), p99(without));
    assert!(with < without / 2, "{with:?} instead of {without:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn hedges_never_exceed_the_share(
        share in 0.0..=1.0,
        latencies in prop::collection::vec(0_u64..100, 1..200),
        delay in prop::option::of(0_u64..50),
        attempts in 2_u32..=5,
    ) {
        let mut builder = HedgeLayer::builder().max_extra(share).attempts(attempts);
        builder = match delay {
            Some(ms) => builder.delay(MS * ms as u32),
            None => builder.percentile(0.5).min_samples(1).window(100 * MS),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let next = Cell::new(0);
        let took = || {
            let n = next.replace(next.get() + 1);
            MS * latencies[n % latencies.len()] as u32
        };
        let requests = latencies.len();
        let (_, calls) = runtime.block_on(run(builder, requests, took));
        let extra = (calls - requests) as f64;
        prop_assert!(extra <= (share + 1e-9) * requests as f64, "{extra} of {requests}");
    }
}
