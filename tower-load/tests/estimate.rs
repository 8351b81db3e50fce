//! The estimate behind `PeakEwma`: what answers, failures and silence do to it, and that nothing spoils it for good.

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

const ANSWERED: Option<Class> = Some(Class::Success);
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
fn failures_in_a_row_multiply_it_at_any_scale() {
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
fn a_failure_among_answers_is_soon_made_good() {
    let estimate = estimate();
    request(&estimate, FAILED, START + MS);
    let mut now = START + MS;
    for _ in 0..3 {
        now += MS;
        request(&estimate, ANSWERED, now);
    }
    assert!(estimate.cost(now) < 12.0 * MS as f64);
}

#[test]
fn what_fails_together_is_one_failure() {
    let estimate = estimate();
    (0..100).for_each(|_| estimate.begin(START));
    for ends in START + SECOND..START + SECOND + 50 {
        estimate.end(START, FAILED, ends);
    }
    // They were sent before the endpoint was known to fail, and tell nothing of now.
    (0..50).for_each(|_| estimate.end(START, ANSWERED, START + SECOND + 100));
    let cost = estimate.cost(START + SECOND + 200);
    assert!((cost - 1e9).abs() < 1e8, "{cost}");
}

#[test]
fn after_a_long_failure_a_few_answers_are_enough() {
    let estimate = estimate();
    let mut now = START;
    for _ in 0..10_000 {
        now += MS;
        request(&estimate, FAILED, now);
    }
    assert!(estimate.cost(now).is_finite() && estimate.cost(now) > 1e15);
    for _ in 0..9 {
        now += MS;
        request(&estimate, ANSWERED, now);
    }
    assert!(
        estimate.cost(now) < 12.0 * MS as f64,
        "{}",
        estimate.cost(now)
    );
}

#[test]
fn a_trial_is_due_after_three_decay_times_and_is_one_request() {
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
    assert!(cost(due) > 1e15, "there is one already");
    estimate.end(due, FAILED, due + MS);
    assert!(cost(due + 2 * SECOND) > 1e15);
}

#[test]
fn an_endpoint_whose_trial_fails_is_held_out_for_as_long_as_it_was_estimated_at() {
    let estimate = Estimate::new(START, DECAY, Duration::from_secs(40));
    request(&estimate, FAILED, START + MS);
    request(&estimate, FAILED, START + 2 * MS);
    // 40 s times 16, of which 1/e² is left.
    let trial = START + 20 * SECOND;
    request(&estimate, FAILED, trial);
    let left = 640.0 * (-2.0_f64).exp();
    let held = trial + (left * 1e9) as u64;
    assert!(estimate.cost(held - SECOND) > 1e16);
    let after = estimate.cost(held + SECOND);
    assert!((after - 8.0 * left * 0.905e9).abs() < 1e10, "{after}");
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
    // Also that of a request which was in flight with another failure.
    let estimate = estimate();
    (0..2).for_each(|_| estimate.begin(START));
    estimate.end(START, FAILED, START + MS);
    let outcome = pushback(Pushback::After(Duration::from_secs(5)));
    estimate.end(START, outcome, START + 2 * MS);
    assert!(estimate.cost(START + 4 * SECOND) > 1e16);
}

#[test]
fn failures_of_every_kind_count_alike() {
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
fn a_slow_failure_counts_with_its_time() {
    let estimate = estimate();
    estimate.begin(START);
    let end = START + 60 * SECOND;
    estimate.end(START, FAILED, end);
    assert_cost(&estimate, end, 60 * SECOND);
}

#[test]
fn a_dropped_request_only_raises_it() {
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
fn silence_raises_it_while_requests_are_in_flight() {
    let estimate = estimate();
    for at in [START, START + 900 * MS] {
        estimate.begin(at);
    }
    let now = START + SECOND;
    assert_cost(&estimate, now, 3 * SECOND);
    estimate.end(START + 900 * MS, ANSWERED, now);
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
        Just(ANSWERED),
        Just(FAILED),
        Just(DROPPED),
        Just(Some(Class::Unsent)),
        Just(Some(Class::Ignored)),
        Just(pushback(Pushback::Never)),
        any::<Duration>().prop_map(|after| pushback(Pushback::After(after))),
    ]
}

proptest! {
    /// Requests of no time, of ages, that ended before they began, in any order: the estimate is a number all the while, and
    /// that of the answers which come later, as soon as a peak of 584 years has faded.
    #[test]
    fn nothing_spoils_it(
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
        // Also those within 64 decay times of the future.
        for _ in 0..900 {
            now += step;
            request(&estimate, ANSWERED, now);
        }
        let cost = estimate.cost(now);
        prop_assert!(cost <= 1.5 * MS as f64, "{cost}");
    }
}
