//! Which endpoints are picked by the results of probes.

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;
use tower_balance::policy::prequal::{Prequal, PrequalConfig, Report};
use tower_util::rng::{Rng, SplitMix};

const MILLI: Duration = Duration::from_millis(1);

fn rng() -> SplitMix {
    SplitMix::with_seed(0x5eed)
}

fn config() -> PrequalConfig {
    PrequalConfig::default().removals_per_request(0.0)
}

fn report(endpoint: usize, rif: u32, millis: u32) -> Report {
    Report {
        endpoint,
        rif,
        latency: millis * MILLI,
        failing: 0.0,
    }
}

/// Returns a pool with one result per endpoint, given by requests in flight and milliseconds.
fn pool(config: PrequalConfig, answers: &[(u32, u32)], now: Instant) -> Prequal {
    let mut prequal = Prequal::new(config, 1000).unwrap();
    for (endpoint, (rif, millis)) in answers.iter().enumerate() {
        prequal.report(report(endpoint, *rif, *millis), now, &mut rng());
    }
    prequal
}

#[test]
fn the_fastest_cold_one_is_picked_or_else_the_least_loaded_hot_one() {
    let now = Instant::now();
    let answers = [(1, 9), (2, 4), (3, 8), (10, 1)];
    let pick =
        |quantile| pool(config().hot_quantile(quantile), &answers, now).pick(now, &mut rng());
    assert_eq!(pick(0.84), Some(1), "3 is hot");
    assert_eq!(pick(0.0), Some(0), "by requests in flight only");
    assert_eq!(pick(1.0), Some(3), "latency alone");

    let mut all_hot = Prequal::new(config(), 10).unwrap();
    for _ in 0..100 {
        all_hot.report(report(9, 0, 1), now, &mut rng());
    }
    all_hot.forget(9);
    for (endpoint, (rif, millis)) in [(7, 1), (5, 9), (6, 1)].into_iter().enumerate() {
        all_hot.report(report(endpoint, rif, millis), now, &mut rng());
    }
    assert_eq!(all_hot.pick(now, &mut rng()), Some(1));
}

#[test]
fn a_pick_counts_as_a_request_in_flight() {
    let now = Instant::now();
    let config = config().hot_quantile(0.0).probes_per_request(0.0);
    let mut prequal = pool(config, &[(0, 1), (1, 1)], now);
    let picks: Vec<_> = (0..5)
        .filter_map(|_| prequal.pick(now, &mut rng()))
        .collect();
    assert_eq!(picks, [0, 0, 1, 0, 1]);
}

#[test]
fn with_fewer_than_two_results_a_random_endpoint_is_picked() {
    let now = Instant::now();
    let mut prequal = pool(config(), &[(0, 1)], now);
    let mut rng = rng();
    let others = (0..100)
        .filter(|_| prequal.pick(now, &mut rng) != Some(0))
        .count();
    assert!(others >= 98, "{others}");
    assert_eq!(prequal.pool_len(), 1);
    prequal.set_endpoints(0);
    assert_eq!(prequal.pick(now, &mut rng), None);
    assert!(prequal.probes(&mut rng).is_empty());
}

#[test]
fn a_result_older_than_a_second_does_not_count() {
    let start = Instant::now();
    let mut prequal = pool(config().probes_per_request(0.0), &[(0, 1), (0, 2)], start);
    prequal.report(report(2, 0, 3), start + 500 * MILLI, &mut rng());
    prequal.report(report(3, 0, 4), start + 500 * MILLI, &mut rng());
    assert_eq!(prequal.pick(start + 1000 * MILLI, &mut rng()), Some(0));
    assert_eq!(prequal.pick(start + 1001 * MILLI, &mut rng()), Some(2));
    assert_eq!(prequal.pool_len(), 2);
}

#[test]
fn results_are_used_on_average_as_often_as_in_the_paper() {
    let now = Instant::now();
    let mut rng = rng();
    // With 100 endpoints: 2 / (0.84 · 3 - 1) = 1.316 times.
    let config = PrequalConfig::default().hot_quantile(1.0).delta(1.0);
    let mut twice = 0;
    for _ in 0..10_000 {
        let mut prequal = Prequal::new(config.clone().removals_per_request(1.0), 100).unwrap();
        prequal.report(report(7, 0, 1), now, &mut rng);
        prequal.report(report(8, 0, 9), now, &mut rng);
        assert_eq!(prequal.pick(now, &mut rng), Some(7));
        twice += usize::from(prequal.pool_len() == 2);
    }
    assert!((3_000..3_320).contains(&twice), "{twice} of 10000");
}

#[test]
fn the_oldest_and_the_worst_are_removed_in_turn() {
    let now = Instant::now();
    let config = PrequalConfig::default()
        .probes_per_request(0.0)
        .removals_per_request(0.5)
        .hot_quantile(1.0);
    let mut prequal = pool(config, &[(0, 5), (0, 9), (0, 7), (0, 8), (0, 1)], now);
    let mut left = Vec::new();
    for _ in 0..8 {
        assert_eq!(prequal.pick(now, &mut rng()), Some(4));
        left.push(prequal.pool_len());
    }
    assert_eq!(left, [5, 4, 4, 3, 3, 2, 2, 2], "the last two stay");
    // Removed are the oldest, 0, the worst, 1, and the oldest, 2.
    prequal.forget(4);
    prequal.report(report(5, 0, 90), now, &mut rng());
    assert_eq!(prequal.pick(now, &mut rng()), Some(3));
}

#[test]
fn a_full_pool_drops_the_oldest_result_and_keeps_one_per_endpoint() {
    let now = Instant::now();
    let answers: Vec<_> = (0..20).map(|i| (0, i)).collect();
    let mut prequal = pool(config(), &answers, now);
    assert_eq!(prequal.pool_len(), 16);
    prequal.report(report(19, 0, 99), now, &mut rng());
    prequal.report(report(1000, 0, 0), now, &mut rng());
    assert_eq!(prequal.pool_len(), 16);
    assert_eq!(prequal.pick(now, &mut rng()), Some(4));
}

#[test]
fn fractions_of_probes_accumulate() {
    let mut rng = rng();
    let mut prequal = Prequal::new(config().probes_per_request(0.75), 10).unwrap();
    let counts: Vec<_> = (0..8).map(|_| prequal.probes(&mut rng).len()).collect();
    assert_eq!(counts, [0, 1, 1, 1, 0, 1, 1, 1]);
}

#[test]
fn endpoints_are_probed_equally_often_and_never_twice_for_a_request() {
    let mut rng = rng();
    let mut prequal = Prequal::new(config(), 5).unwrap();
    let mut counts = [0; 5];
    for _ in 0..10_000 {
        let mut targets = prequal.probes(&mut rng).to_vec();
        targets.iter().for_each(|target| counts[*target] += 1);
        targets.sort_unstable();
        targets.dedup();
        assert_eq!(targets.len(), 3);
    }
    assert!(
        counts.iter().all(|count| (5_800..6_200).contains(count)),
        "{counts:?}"
    );
    let mut few = Prequal::new(config().probes_per_request(9.0), 2).unwrap();
    assert_eq!(few.probes(&mut rng).len(), 2);
}

/// Returns the share of 20,000 requests that go to the one of eleven servers that fails in 1 ms, while the others take
/// 100 ms.
fn share_of_the_fast_failing(known: bool) -> f64 {
    let mut rng = rng();
    let mut now = Instant::now();
    let mut prequal = Prequal::new(PrequalConfig::default(), 11).unwrap();
    let mut hits = 0;
    for _ in 0..20_000 {
        now += MILLI;
        for endpoint in prequal.probes(&mut rng).to_vec() {
            let report = if endpoint == 0 {
                let failing = if known { 1.0 } else { 0.0 };
                Report {
                    failing,
                    ..report(0, 0, 1)
                }
            } else {
                report(endpoint, 8 + rng.next_range(0..5) as u32, 100)
            };
            prequal.report(report, now, &mut rng);
        }
        hits += usize::from(prequal.pick(now, &mut rng) == Some(0));
    }
    hits as f64 / 20_000.0
}

#[test]
fn a_server_that_fails_fast_receives_little_if_its_failures_are_reported() {
    let (known, unknown) = (
        share_of_the_fast_failing(true),
        share_of_the_fast_failing(false),
    );
    assert!(
        unknown > 0.5,
        "{unknown}: without reports, it attracts requests"
    );
    assert!(known < 0.001, "{known}");
}

#[test]
fn invalid_configurations_are_rejected() {
    let error = Prequal::new(config().pool_size(0), 1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid policy: the pool needs room for two probes"
    );
}

proptest! {
    #[test]
    fn any_results_are_accepted(
        answers in prop::collection::vec((0_usize..30, any::<u32>(), any::<u64>(), any::<f64>(), 0_u64..2000), 0..200),
        endpoints in 0_usize..25,
    ) {
        let mut rng = rng();
        let mut now = Instant::now();
        let config = PrequalConfig::default().failure_penalty(Duration::MAX);
        let mut prequal = Prequal::new(config, endpoints).unwrap();
        for (endpoint, rif, nanos, failing, millis) in answers {
            let latency = Duration::from_nanos(nanos);
            prequal.report(Report { endpoint, rif, latency, failing }, now, &mut rng);
            now += Duration::from_millis(millis);
            let pick = prequal.pick(now, &mut rng);
            prop_assert_eq!(pick.is_some(), endpoints > 0);
            prop_assert!(pick.is_none_or(|pick| pick < endpoints));
            prop_assert!(prequal.probes(&mut rng).iter().all(|target| *target < endpoints));
            prop_assert!(prequal.pool_len() <= 16);
        }
    }
}
