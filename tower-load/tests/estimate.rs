//! The estimate behind `PeakEwma`: the effect of successes, failures and missing responses, and that it always
//! recovers.

use std::time::Duration;

use proptest::prelude::*;
use tower_classify::{Class, Failure, FailureKind, Pushback};
use tower_load::estimate::Estimate;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;
const DECAY: Duration = Duration::from_secs(10);
const START: u64 = 1_000 * SECOND;

fn estimate() -> Estimate {
    Estimate::new(START, DECAY, Duration::from_millis(10))
}

const SUCCESS: Option<Class> = Some(Class::Success);
const FAILED: Option<Class> = Some(Class::failure(FailureKind::Unknown));
const DROPPED: Option<Class> = None;

fn pushback(pushback: Pushback) -> Option<Class> {
    let failure = Failure::new(FailureKind::Unavailable);
    Some(Class::Failure(failure.with_pushback(Some(pushback))))
}

/// A request that takes a millisecond.
fn request(estimate: &Estimate, class: Option<Class>, ends: u64) {
    estimate.begin(ends - MS);
    estimate.end(ends - MS, class, ends);
}

fn assert_cost(estimate: &Estimate, now: u64, expected: u64) {
    let cost = estimate.cost(now);
    let expected = expected as f64;
    assert!(
        (cost - expected).abs() < expected * 5e-3,
        "{cost} instead of {expected}"
    );
}

#[test]
fn consecutive_failures_multiply_the_estimate_at_any_scale() {
    for default in [
        Duration::from_micros(1),
        Duration::from_millis(10),
        Duration::from_secs(60),
    ] {
        let estimate = Estimate::new(START, DECAY, default);
        let default = default.as_nanos() as u64;
        assert_cost(&estimate, START, default);
        for factor in [2, 16, 128, 1024] {
            estimate.begin(START);
            estimate.end(START, FAILED, START);
            assert_cost(&estimate, START, default * factor);
        }
    }
}

#[test]
fn a_few_successes_remove_a_single_failure() {
    let estimate = estimate();
    request(&estimate, FAILED, START + MS);
    let mut now = START + MS;
    for _ in 0..3 {
        now += MS;
        request(&estimate, SUCCESS, now);
    }
    assert!(estimate.cost(now) < 12.0 * MS as f64);
}

#[test]
fn concurrent_failures_count_as_one() {
    let estimate = estimate();
    (0..100).for_each(|_| estimate.begin(START));
    for ends in START + SECOND..START + SECOND + 50 {
        estimate.end(START, FAILED, ends);
    }
    // Sent before the endpoint failed, so these successes do not lower the penalty.
    (0..50).for_each(|_| estimate.end(START, SUCCESS, START + SECOND + 100));
    let cost = estimate.cost(START + SECOND + 200);
    assert!((cost - 1e9).abs() < 1e8, "{cost}");
}

#[test]
fn a_few_successes_remove_the_penalty_of_many_failures() {
    let estimate = estimate();
    let mut now = START;
    for _ in 0..10_000 {
        now += MS;
        request(&estimate, FAILED, now);
    }
    assert!(estimate.cost(now).is_finite() && estimate.cost(now) > 1e15);
    for _ in 0..9 {
        now += MS;
        request(&estimate, SUCCESS, now);
    }
    assert!(
        estimate.cost(now) < 12.0 * MS as f64,
        "{}",
        estimate.cost(now)
    );
}

#[test]
fn a_single_probe_is_due_after_three_decay_times() {
    let estimate = estimate();
    for request_number in 1..=100 {
        request(&estimate, FAILED, START + request_number * MS);
    }
    let failed = START + 100 * MS;
    let cost = |now| estimate.cost(now);
    assert!(cost(failed + 29 * SECOND) > 1e15);
    let due = failed + 31 * SECOND;
    assert!(cost(due) <= 10.0 * MS as f64);
    estimate.begin(due);
    assert!(cost(due) > 1e15, "a probe is in flight");
    estimate.end(due, FAILED, due + MS);
    assert!(cost(due + 2 * SECOND) > 1e15);
}

#[test]
fn the_backoff_after_a_failed_probe_is_as_long_as_the_estimate() {
    let estimate = Estimate::new(START, DECAY, Duration::from_secs(40));
    request(&estimate, FAILED, START + MS);
    request(&estimate, FAILED, START + 2 * MS);
    // 40 s times 16, decayed to 1/e².
    let probe = START + 20 * SECOND;
    request(&estimate, FAILED, probe);
    let decayed = 640.0 * (-2.0_f64).exp();
    let until = probe + (decayed * 1e9) as u64;
    assert!(estimate.cost(until - SECOND) > 1e16);
    let after = estimate.cost(until + SECOND);
    assert!((after - 8.0 * decayed * 0.905e9).abs() < 1e10, "{after}");
}

#[test]
fn a_pushback_is_honoured_up_to_300_s() {
    for (asked, honoured) in [(1, 1), (30, 30), (300, 300), (u64::MAX, 300)] {
        let estimate = estimate();
        let outcome = pushback(Pushback::After(Duration::from_secs(asked)));
        request(&estimate, outcome, START);
        let until = START + honoured * SECOND;
        assert!(estimate.cost(until - MS) > 1e16, "{asked}");
        let after = estimate.cost(until);
        assert!(
            after <= (honoured * SECOND) as f64 * 1.01,
            "{asked}: {after}"
        );
        assert!(estimate.cost(until + 31 * SECOND) < 1e8, "{asked}");
    }
    // Also if the request was in flight together with another one that failed.
    let estimate = estimate();
    (0..2).for_each(|_| estimate.begin(START));
    estimate.end(START, FAILED, START + MS);
    let outcome = pushback(Pushback::After(Duration::from_secs(5)));
    estimate.end(START, outcome, START + 2 * MS);
    assert!(estimate.cost(START + 4 * SECOND) > 1e16);
}

#[test]
fn failures_of_every_kind_count_the_same() {
    for class in [
        Some(Class::Unsent),
        Some(Class::failure(FailureKind::Internal)),
        pushback(Pushback::Never),
    ] {
        let estimate = estimate();
        estimate.begin(START);
        estimate.end(START, class, START);
        assert_cost(&estimate, START, 20 * MS);
    }
}

#[test]
fn after_a_slow_failure_the_estimate_is_at_least_its_latency() {
    let estimate = estimate();
    estimate.begin(START);
    let end = START + 60 * SECOND;
    estimate.end(START, FAILED, end);
    assert_cost(&estimate, end, 60 * SECOND);
}

#[test]
fn a_dropped_request_never_lowers_the_estimate() {
    let (estimate, untouched) = (estimate(), estimate());
    request(&estimate, DROPPED, START + MS);
    assert_cost(&estimate, START + MS, untouched.cost(START + MS) as u64);
    estimate.begin(START);
    estimate.end(START, DROPPED, START + 20 * MS);
    assert_cost(&estimate, START + 20 * MS, 20 * MS);
}

#[test]
fn an_ignored_result_counts_as_a_dropped_request() {
    let (ignored, dropped) = (estimate(), estimate());
    for ends in [START + MS, START + 20 * MS] {
        for (estimate, class) in [(&ignored, Some(Class::Ignored)), (&dropped, DROPPED)] {
            estimate.begin(START);
            estimate.end(START, class, ends);
        }
        assert_eq!(ignored.cost(ends), dropped.cost(ends));
    }
}

#[test]
fn without_responses_the_estimate_rises_while_requests_are_in_flight() {
    let estimate = estimate();
    for at in [START, START + 900 * MS] {
        estimate.begin(at);
    }
    let now = START + SECOND;
    assert_cost(&estimate, now, 3 * SECOND);
    estimate.end(START + 900 * MS, SUCCESS, now);
    assert_cost(&estimate, now, 2 * 100 * MS);
    assert_cost(&estimate, now + 500 * MS, 2 * 500 * MS);
    estimate.end(START, DROPPED, now + 500 * MS);
    assert_cost(&estimate, now + 500 * MS, 1500 * MS);
}

fn odd_time() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        Just(u64::MAX),
        Just(1 << 63),
        any::<u64>(),
        START..START + 100 * SECOND,
    ]
}

fn class() -> impl Strategy<Value = Option<Class>> {
    prop_oneof![
        Just(SUCCESS),
        Just(FAILED),
        Just(DROPPED),
        Just(Some(Class::Unsent)),
        Just(Some(Class::Ignored)),
        Just(pushback(Pushback::Never)),
        any::<Duration>().prop_map(|after| pushback(Pushback::After(after))),
    ]
}

proptest! {
    /// Requests with a latency of zero, of centuries, or that ended before they started, in any order: the estimate is
    /// always finite, and follows later successes as soon as a peak of 584 years has decayed.
    #[test]
    fn recovers_from_any_input(
        decay in prop_oneof![Just(Duration::ZERO), Just(DECAY), Just(Duration::from_secs(3600))],
        default in prop_oneof![Just(Duration::ZERO), Just(Duration::MAX), Just(DECAY)],
        odd in prop::collection::vec((odd_time(), odd_time(), class()), 1..20),
    ) {
        let estimate = Estimate::new(START, decay, default);
        for (began, now, class) in odd {
            estimate.begin(began);
            prop_assert!(estimate.cost(now) >= 0.0 && estimate.cost(now).is_finite());
            estimate.end(began, class, now);
            prop_assert!(estimate.cost(now) >= 0.0 && estimate.cost(now).is_finite());
        }
        let mut now = START;
        let step = decay.max(Duration::from_secs(1)).as_nanos() as u64;
        // Long enough also for times up to 64 decay times in the future.
        for _ in 0..900 {
            now += step;
            request(&estimate, SUCCESS, now);
        }
        let cost = estimate.cost(now);
        prop_assert!(cost <= 1.5 * MS as f64, "{cost}");
    }
}
