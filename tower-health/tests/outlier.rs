//! Which endpoints are ejected, and for how long.

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;
use tower_classify::{Class, FailureKind};
use tower_health::policy::outlier::{
    Bounds, Cause, Change, FailurePercentage, OutlierConfig, OutlierDetector, Statistic,
    SuccessRate,
};

const FAILED: Class = Class::failure(FailureKind::Internal);

type Detector = OutlierDetector<usize>;

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);

fn detector(config: OutlierConfig, endpoints: usize, now: Instant) -> Detector {
    let mut detector = OutlierDetector::new(config, now).unwrap();
    (0..endpoints).for_each(|endpoint| detector.insert(endpoint));
    detector
}

fn only_consecutive() -> OutlierConfig {
    OutlierConfig::default().success_rate(None)
}

fn only_success_rate() -> OutlierConfig {
    OutlierConfig::default().consecutive(None)
}

fn only_failure_percentage(bounds: Bounds) -> OutlierConfig {
    only_success_rate()
        .success_rate(None)
        .failure_percentage(Some(FailurePercentage::default()))
        .bounds(bounds)
}

/// Records a hundred requests, of which `successes` succeed.
fn serve(detector: &mut Detector, endpoint: usize, successes: u32, now: Instant) {
    for n in 0..100 {
        let outcome = if n < successes {
            Class::Success
        } else {
            FAILED
        };
        assert_eq!(detector.record(&endpoint, outcome, now), None);
    }
}

fn fail(
    detector: &mut Detector,
    endpoint: usize,
    times: u32,
    now: Instant,
) -> Option<Change<usize>> {
    (0..times)
        .map(|_| detector.record(&endpoint, FAILED, now))
        .last()
        .unwrap()
}

#[test]
fn only_consecutive_failures_eject_immediately() {
    let now = Instant::now();
    let mut detector = detector(only_consecutive(), 3, now);
    assert_eq!(fail(&mut detector, 1, 4, now), None);
    assert_eq!(detector.record(&1, Class::Success, now), None);
    assert_eq!(fail(&mut detector, 1, 4, now), None);
    assert_eq!(
        fail(&mut detector, 1, 1, now),
        Some(Change::Ejected(1, Cause::Consecutive))
    );
    assert!(detector.is_ejected(&1));
    assert_eq!(detector.ejected(), 1);
    assert_eq!(fail(&mut detector, 1, 9, now), None, "already ejected");
    assert_eq!(fail(&mut detector, 7, 9, now), None, "unknown endpoint");
}

#[test]
fn an_endpoint_returns_at_the_first_sweep_after_its_ejection_time() {
    let start = Instant::now();
    let mut detector = detector(only_consecutive(), 3, start);
    let at = start + SECOND;
    fail(&mut detector, 1, 5, at);
    for second in [10, 20, 30] {
        assert_eq!(detector.sweep(start + second * SECOND), []);
    }
    assert_eq!(detector.sweep(start + 40 * SECOND - MILLI), [], "not due");
    assert_eq!(detector.next_sweep(), start + 40 * SECOND);
    assert_eq!(detector.sweep(start + 40 * SECOND), [Change::Returned(1)]);
    assert_eq!(detector.ejected(), 0);
    assert_eq!(
        fail(&mut detector, 1, 4, start + 40 * SECOND),
        None,
        "the consecutive failures start again"
    );
}

#[test]
fn a_sweep_just_before_the_ejection_time_has_passed_returns_nothing() {
    let start = Instant::now();
    let mut detector = detector(only_consecutive().base_ejection_time(10 * SECOND), 3, start);
    fail(&mut detector, 1, 5, start + MILLI);
    assert_eq!(
        detector.sweep(start + 10 * SECOND),
        [],
        "ejected for 9,999 ms"
    );
    assert_eq!(detector.sweep(start + 20 * SECOND), [Change::Returned(1)]);
}

/// Returns how long endpoint 1 is ejected when it fails at `now`.
fn time_out(detector: &mut Detector, now: &mut Instant) -> Duration {
    let start = *now;
    assert!(fail(detector, 1, 5, start).is_some());
    while detector.is_ejected(&1) {
        *now = detector.next_sweep();
        detector.sweep(*now);
    }
    *now - start
}

#[test]
fn the_ejection_time_grows_with_each_ejection_up_to_the_maximum_and_shrinks_with_each_interval_without()
 {
    let mut now = Instant::now();
    let mut detector = detector(only_consecutive(), 3, now);
    for expected in [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300] {
        assert_eq!(time_out(&mut detector, &mut now), expected * SECOND);
    }
    for _ in 0..3 {
        now += 10 * SECOND;
        assert_eq!(detector.sweep(now), []);
    }
    assert_eq!(
        time_out(&mut detector, &mut now),
        240 * SECOND,
        "8 of 10 are left, with this one"
    );
    now += 50 * SECOND;
    assert_eq!(
        detector.sweep(now),
        [],
        "a late sweep counts for those that were left out"
    );
    assert_eq!(time_out(&mut detector, &mut now), 120 * SECOND);
    now += 1000 * SECOND;
    detector.sweep(now);
    assert_eq!(time_out(&mut detector, &mut now), 30 * SECOND);
}

#[test]
fn a_base_above_the_maximum_is_the_maximum() {
    let mut now = Instant::now();
    let mut detector = detector(only_consecutive().base_ejection_time(400 * SECOND), 3, now);
    for _ in 0..3 {
        assert_eq!(time_out(&mut detector, &mut now), 400 * SECOND);
    }
}

#[test]
fn an_endpoint_that_succeeds_less_than_the_others_is_ejected() {
    let now = Instant::now();
    let mut detector = detector(only_success_rate(), 5, now);
    (0..5).for_each(|endpoint| {
        serve(
            &mut detector,
            endpoint,
            if endpoint == 3 { 50 } else { 100 },
            now,
        )
    });
    assert_eq!(
        detector.sweep(now + 10 * SECOND),
        [Change::Ejected(3, Cause::SuccessRate)]
    );
}

#[test]
fn a_success_rate_at_the_threshold_is_no_outlier() {
    let now = Instant::now();
    let rule = SuccessRate {
        statistic: Statistic::StdDev(2.0),
        ..SuccessRate::default()
    };
    // Mean 0.8, deviation 0.4, threshold 0.
    let mut detector = detector(only_success_rate().success_rate(Some(rule)), 5, now);
    (0..5).for_each(|endpoint| {
        serve(
            &mut detector,
            endpoint,
            if endpoint == 3 { 0 } else { 100 },
            now,
        )
    });
    assert_eq!(detector.sweep(now + 10 * SECOND), []);
}

#[test]
fn without_enough_endpoints_or_requests_nothing_is_ejected() {
    let now = Instant::now();
    let mut four = detector(only_success_rate(), 4, now);
    (0..4).for_each(|endpoint| {
        serve(
            &mut four,
            endpoint,
            if endpoint == 3 { 0 } else { 100 },
            now,
        )
    });
    assert_eq!(four.sweep(now + 10 * SECOND), []);

    let mut five = detector(only_success_rate(), 5, now);
    (0..4).for_each(|endpoint| serve(&mut five, endpoint, 100, now));
    fail(&mut five, 4, 99, now);
    assert_eq!(five.sweep(now + 10 * SECOND), []);
    fail(&mut five, 4, 1, now);
    assert_eq!(
        five.sweep(now + 20 * SECOND),
        [],
        "each interval counts for itself"
    );
}

#[test]
fn two_of_nine_that_fail_everything_mask_each_other_unless_compared_by_the_median() {
    let now = Instant::now();
    let sweep = |statistic| {
        let rule = SuccessRate {
            statistic,
            ..SuccessRate::default()
        };
        let config = only_success_rate()
            .success_rate(Some(rule))
            .max_ejection_percent(50);
        let mut detector = detector(config, 9, now);
        (0..9).for_each(|endpoint| {
            serve(
                &mut detector,
                endpoint,
                if endpoint < 2 { 0 } else { 100 },
                now,
            )
        });
        detector.sweep(now + 10 * SECOND)
    };
    assert_eq!(sweep(Statistic::StdDev(1.9)), []);
    let both = [0, 1].map(|endpoint| Change::Ejected(endpoint, Cause::SuccessRate));
    assert_eq!(sweep(Statistic::Mad(3.0)), both);
}

#[test]
fn ejected_endpoints_are_excluded_from_the_statistics() {
    let now = Instant::now();
    let config = OutlierConfig::default().max_ejection_percent(50);
    let mut detector = detector(config, 6, now);
    fail(&mut detector, 0, 200, now);
    assert!(detector.is_ejected(&0));
    // With endpoint 0, which failed everything, endpoint 1 would not be an outlier.
    (1..6).for_each(|endpoint| {
        for n in 0..100 {
            let success = endpoint > 1 || n % 2 == 0;
            detector.record(
                &endpoint,
                if success { Class::Success } else { FAILED },
                now,
            );
        }
    });
    assert_eq!(
        detector.sweep(now + 10 * SECOND),
        [Change::Ejected(1, Cause::SuccessRate)]
    );
}

#[test]
fn an_endpoint_at_the_failure_threshold_is_ejected_with_envoys_bounds_and_not_with_grpcs() {
    let now = Instant::now();
    let sweep = |bounds, successes| {
        let mut detector = detector(only_failure_percentage(bounds), 5, now);
        (0..5).for_each(|endpoint| {
            serve(
                &mut detector,
                endpoint,
                if endpoint == 2 { successes } else { 100 },
                now,
            )
        });
        detector.sweep(now + 10 * SECOND)
    };
    let ejected = [Change::Ejected(2, Cause::FailurePercentage)];
    assert_eq!(sweep(Bounds::Envoy, 16), []);
    assert_eq!(sweep(Bounds::Envoy, 15), ejected);
    assert_eq!(sweep(Bounds::Grpc, 15), []);
    assert_eq!(sweep(Bounds::Grpc, 14), ejected);
}

/// Lets all endpoints fail, and counts the ejected ones.
fn ejected_of(endpoints: usize, percent: u32, bounds: Bounds) -> usize {
    let now = Instant::now();
    let config = only_consecutive()
        .max_ejection_percent(percent)
        .bounds(bounds);
    let mut detector = detector(config, endpoints, now);
    (0..endpoints).for_each(|endpoint| {
        fail(&mut detector, endpoint, 5, now);
    });
    detector.ejected()
}

#[test]
fn at_most_the_maximum_is_ejected_but_always_one_may_be() {
    for (endpoints, percent, envoy, grpc) in [
        (3, 10, 1, 1),
        (10, 10, 1, 1),
        (15, 10, 1, 2),
        (20, 10, 2, 2),
        (10, 50, 5, 5),
        (3, 50, 1, 2),
        (10, 100, 10, 10),
        (10, 0, 0, 0),
    ] {
        assert_eq!(
            ejected_of(endpoints, percent, Bounds::Envoy),
            envoy,
            "{percent} % of {endpoints}"
        );
        assert_eq!(
            ejected_of(endpoints, percent, Bounds::Grpc),
            grpc,
            "{percent} % of {endpoints}"
        );
    }
}

#[test]
fn the_worst_are_ejected_first() {
    let now = Instant::now();
    let mut detector = detector(only_failure_percentage(Bounds::Envoy), 10, now);
    for endpoint in 0..10 {
        serve(
            &mut detector,
            endpoint,
            match endpoint {
                2 => 10,
                7 => 0,
                _ => 100,
            },
            now,
        );
    }
    assert_eq!(
        detector.sweep(now + 10 * SECOND),
        [Change::Ejected(7, Cause::FailurePercentage)]
    );
}

#[test]
fn removing_an_ejected_endpoint_allows_another_ejection_and_clears_its_history() {
    let now = Instant::now();
    let mut detector = detector(only_consecutive(), 3, now);
    fail(&mut detector, 0, 5, now);
    assert_eq!(
        fail(&mut detector, 1, 5, now),
        None,
        "one is already ejected"
    );
    assert!(detector.remove(&0));
    assert!(!detector.remove(&0));
    assert_eq!(detector.ejected(), 0);
    assert!(fail(&mut detector, 1, 1, now).is_some());
    detector.insert(0);
    detector.insert(1);
    assert_eq!((detector.len(), detector.ejected()), (3, 1));
    assert!(!detector.is_ejected(&0) && detector.is_ejected(&1));
}

#[test]
fn a_restored_endpoint_returns_immediately() {
    let now = Instant::now();
    let mut detector = detector(only_consecutive(), 3, now);
    fail(&mut detector, 0, 5, now);
    assert!(detector.restore(&0));
    assert!(!detector.restore(&0) && !detector.restore(&9));
    assert_eq!(detector.ejected(), 0);
    assert_eq!(fail(&mut detector, 0, 4, now), None);
}

#[test]
fn a_changed_interval_counts_from_the_last_sweep() {
    let start = Instant::now();
    let mut detector = detector(only_consecutive().interval(8 * SECOND), 3, start);
    detector
        .set_config(only_consecutive().interval(9 * SECOND))
        .unwrap();
    assert_eq!(detector.next_sweep(), start + 9 * SECOND);
    detector
        .set_config(only_consecutive().interval(Duration::MAX))
        .unwrap();
    assert!(detector.next_sweep() > start + 9 * SECOND);
}

#[test]
fn without_rules_all_return_and_histories_are_cleared() {
    let mut now = Instant::now();
    let mut detector = detector(only_consecutive(), 3, now);
    time_out(&mut detector, &mut now);
    fail(&mut detector, 1, 5, now);
    let changes = detector
        .set_config(only_consecutive().consecutive(None))
        .unwrap();
    assert_eq!(changes, [Change::Returned(1)]);
    assert_eq!(detector.ejected(), 0);
    assert_eq!(fail(&mut detector, 1, 99, now), None);
    detector.set_config(only_consecutive()).unwrap();
    detector.record(&1, Class::Success, now);
    assert_eq!(time_out(&mut detector, &mut now), 30 * SECOND);
}

#[test]
fn configurations_out_of_range_are_rejected() {
    let now = Instant::now();
    let rate = |statistic| {
        Some(SuccessRate {
            statistic,
            ..SuccessRate::default()
        })
    };
    for config in [
        OutlierConfig::default().interval(Duration::ZERO),
        OutlierConfig::default().max_ejection_percent(101),
        OutlierConfig::default().consecutive(Some(0)),
        OutlierConfig::default().success_rate(rate(Statistic::Mad(f64::NAN))),
        OutlierConfig::default().success_rate(rate(Statistic::StdDev(-1.0))),
        OutlierConfig::default().failure_percentage(Some(FailurePercentage {
            threshold: 101,
            ..FailurePercentage::default()
        })),
    ] {
        assert!(Detector::new(config.clone(), now).is_err(), "{config:?}");
        assert!(
            detector(only_consecutive(), 1, now)
                .set_config(config)
                .is_err()
        );
    }
}

#[derive(Debug, Clone)]
enum Step {
    Insert(usize),
    Remove(usize),
    Record(usize, bool),
    Restore(usize),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (0_usize..12).prop_map(Step::Insert),
        1 => (0_usize..12).prop_map(Step::Remove),
        10 => (0_usize..12, prop::bool::weighted(0.3)).prop_map(|(e, success)| Step::Record(e, success)),
        1 => (0_usize..12).prop_map(Step::Restore),
        1 => (0_u64..40).prop_map(Step::Wait),
    ]
}

proptest! {
    /// The changes agree with the state of the detector, and the maximum is never exceeded.
    #[test]
    fn changes_agree_with_the_ejected_endpoints(steps in prop::collection::vec(step(), 0..300), percent in 0_u32..=100) {
        let mut now = Instant::now();
        let config = OutlierConfig::default()
            .consecutive(Some(3))
            .max_ejection_percent(percent)
            .success_rate(Some(SuccessRate { min_requests: 2, min_endpoints: 2, ..SuccessRate::default() }))
            .failure_percentage(Some(FailurePercentage { min_requests: 1, min_endpoints: 1, threshold: 50 }));
        let mut detector = Detector::new(config, now).unwrap();
        let mut out = std::collections::BTreeSet::new();
        for step in steps {
            let changes = match step {
                Step::Insert(endpoint) => { detector.insert(endpoint); vec![] }
                Step::Remove(endpoint) => { detector.remove(&endpoint); out.remove(&endpoint); vec![] }
                Step::Restore(endpoint) => {
                    prop_assert_eq!(detector.restore(&endpoint), out.remove(&endpoint));
                    vec![]
                }
                Step::Record(endpoint, success) => {
                    let outcome = if success { Class::Success } else { FAILED };
                    detector.record(&endpoint, outcome, now).into_iter().collect()
                }
                Step::Wait(seconds) => { now += Duration::from_secs(seconds); detector.sweep(now) }
            };
            for change in changes {
                match change {
                    Change::Ejected(endpoint, _) => {
                        prop_assert!(out.insert(endpoint));
                        let most = (detector.len() * percent as usize / 100).max(usize::from(percent > 0));
                        prop_assert!(out.len() <= most, "{out:?} of {}", detector.len());
                    }
                    Change::Returned(endpoint) => prop_assert!(out.remove(&endpoint)),
                }
            }
            prop_assert_eq!(detector.ejected(), out.len());
            prop_assert!(out.iter().all(|endpoint| detector.is_ejected(endpoint)));
        }
    }
}
