//! The documented properties of the pickers, and the claims of papers, in virtual time.

use std::time::Duration;

use tokio::time::Instant;
use tower_simulator::connections::Connections;
use tower_simulator::contestant::Contestant;
use tower_simulator::distribution::{self, Busy};
use tower_simulator::load::Measure;
use tower_simulator::overload::{self, Guard};
use tower_simulator::scenario::{Row, Scenario, Subset};
use tower_simulator::score::Score;
use tower_simulator::{event, plot, scenarios, sim, table};

const SEEDS: [u64; 3] = [1, 2, 3];
const P2C_REQUESTS: Contestant = Contestant::P2c(Measure::Requests);
const P2C_PLAIN: Contestant = Contestant::P2c(Measure::PlainEwma);
const P2C_PEAK: Contestant = Contestant::P2c(Measure::PeakEwma);

fn score(scenario: &Scenario, contestant: Contestant, seed: u64) -> Score {
    sim::run(scenario, &Row::of(contestant), seed, Instant::now()).unwrap()
}

#[test]
fn buoyants_scenario_has_the_published_results() {
    let scenario = scenarios::buoyant();
    for seed in SEEDS {
        let success = |contestant| 100.0 - 100.0 * score(&scenario, contestant, seed).error_rate();
        let round_robin = success(Contestant::RoundRobin);
        assert!(
            (round_robin - 95.5).abs() <= 0.5,
            "seed {seed}: {round_robin}"
        );
        let requests = success(P2C_REQUESTS);
        assert!((99.4..99.9).contains(&requests), "seed {seed}: {requests}");
        let peak = success(P2C_PEAK);
        assert!(peak >= 99.9, "seed {seed}: {peak}");
    }
}

/// M. Mitzenmacher, *The Power of Two Choices in Randomized Load Balancing*: each server has its own queue, the number of servers
/// is practically infinite, and the dispatcher knows all queues.
#[test]
fn two_choices_have_the_latency_of_mitzenmachers_formula() {
    let scenario = scenarios::supermarket();
    for seed in SEEDS {
        let mean = |contestant| score(&scenario, contestant, seed).mean() / 10.0;
        // In multiples of a request's mean work: 1 / (1 - busy), and the sum of busy^(2^i - 2) for i = 1, 2, ...
        let expected = [10.0, (1..9).map(|i| 0.9_f64.powi((1 << i) - 2)).sum()];
        let found = [Contestant::Random, P2C_REQUESTS].map(mean);
        for (found, expected) in found.into_iter().zip(expected) {
            assert!(
                (found / expected - 1.0).abs() < 0.06,
                "seed {seed}: {found} for {expected}"
            );
        }
    }
}

#[test]
fn a_server_that_fails_fast_attracts_only_pickers_that_do_not_count_failures() {
    let scenario = scenarios::failing();
    for seed in SEEDS {
        let bad = |contestant| score(&scenario, contestant, seed).worst_share();
        let (aware, plain) = (bad(P2C_PEAK), bad(P2C_PLAIN));
        assert!(aware < 0.002, "seed {seed}: {aware}");
        // A choice of two gives a server at most twice its share.
        assert!((0.18..0.21).contains(&plain), "seed {seed}: {plain}");
        let all_plain = bad(Contestant::OfAll(Measure::PlainEwma));
        assert!(all_plain > 0.5, "seed {seed}: {all_plain}");
        let prequal = bad(Contestant::Prequal);
        assert!(prequal < 0.02, "seed {seed}: {prequal}");
    }
}

/// However slow the others are, and even if its failures are responses.
#[test]
fn a_server_that_fails_fast_receives_few_requests_at_any_latency_of_the_others() {
    for seed in SEEDS {
        for scenario in [
            scenarios::slow_beside(),
            scenarios::buoyant_beside(),
            scenarios::rejecting(),
        ] {
            for contestant in [P2C_PEAK, Contestant::OfAll(Measure::PeakEwma)] {
                let share = score(&scenario, contestant, seed).worst_share();
                // It is probed for its recovery.
                assert!(
                    share > 0.0 && share <= 0.005,
                    "seed {seed}, {}: {share}",
                    scenario.name
                );
            }
            let plain = score(&scenario, P2C_PLAIN, seed).worst_share();
            assert!(plain > 0.15, "seed {seed}, {}: {plain}", scenario.name);
        }
        let unclassified = Contestant::P2c(Measure::Unclassified);
        let share = score(&scenarios::rejecting(), unclassified, seed).worst_share();
        assert!(share > 0.15, "seed {seed}: {share}");
    }
}

#[test]
fn requests_are_distributed_by_weight_at_any_load() {
    let by_weight = [
        (Contestant::WeightedRoundRobin, [0.002; 3]),
        (Contestant::Random, [0.01; 3]),
        (Contestant::Maglev, [0.01; 3]),
        (Contestant::RingHash, [0.01; 3]),
        (Contestant::Weighted(Measure::Requests), [0.01, 0.02, 0.01]),
        (Contestant::Levels, [0.01, 0.02, 0.01]),
        // With only six requests in flight, one more or less is a large fraction.
        (Contestant::OfAll(Measure::Requests), [0.01, 0.06, 0.01]),
    ];
    let base = Instant::now();
    for (contestant, tolerances) in by_weight {
        for (busy, tolerance) in Busy::ALL.into_iter().zip(tolerances) {
            let weights = distribution::WEIGHTS;
            let shares = distribution::shares(contestant, &weights, busy, 1, base).unwrap();
            for (share, weight) in shares.iter().zip(weights) {
                let due = f64::from(weight) / 3333.0;
                assert!(
                    (share - due).abs() <= tolerance,
                    "{}, {busy:?}: {share} instead of {due}",
                    contestant.name()
                );
            }
        }
    }
}

/// Pickers must not prefer a position in the list.
#[test]
fn equal_servers_receive_equal_shares_at_any_load() {
    let base = Instant::now();
    for contestant in distribution::contestants() {
        // At low load Prequal decides by the last latencies of the servers, and those of a server without requests do not change.
        if contestant == Contestant::Prequal {
            continue;
        }
        for busy in Busy::ALL {
            let weights = distribution::EQUAL;
            let shares = distribution::shares(contestant, &weights, busy, 1, base).unwrap();
            for share in &shares {
                assert!(
                    (0.085..0.115).contains(share),
                    "{}, {busy:?}: {shares:?}",
                    contestant.name()
                );
            }
        }
    }
}

#[test]
fn one_slow_server_slows_down_round_robin_but_not_peak_ewma() {
    let scenario = scenarios::slow();
    for seed in SEEDS {
        let p99 = |contestant| score(&scenario, contestant, seed).quantile(0.99);
        let (round_robin, peak) = (p99(Contestant::RoundRobin), p99(P2C_PEAK));
        assert!(
            peak * 20.0 < round_robin,
            "seed {seed}: {peak} and {round_robin} ms"
        );
    }
}

#[test]
fn prequal_beats_p2c_under_changing_antagonists() {
    for seed in SEEDS {
        let scenario = scenarios::antagonists(seed);
        let p99 = |contestant| score(&scenario, contestant, seed).quantile(0.99);
        let (prequal, peak) = (p99(Contestant::Prequal), p99(P2C_PEAK));
        assert!(prequal < peak, "seed {seed}: {prequal} and {peak} ms");
        let weighted = p99(Contestant::WeightedRoundRobin);
        assert!(
            prequal * 2.0 < weighted,
            "seed {seed}: {prequal} and {weighted} ms"
        );
    }
}

#[test]
fn other_zones_replace_an_unavailable_one() {
    let scenario = scenarios::zones();
    for row in &scenario.rows {
        let score = sim::run(&scenario, row, 1, Instant::now()).unwrap();
        // For 2 of 38 seconds a third of the servers does not respond, or a third of the clients gets no response.
        assert!(
            score.error_rate() < 0.025,
            "{}: {}",
            score.label,
            score.error_rate()
        );
        // Clients use other zones only for 20 seconds.
        let at_home = if row.route == tower_simulator::route::Route::Flat {
            0.2..0.4
        } else {
            0.8..0.9
        };
        assert!(
            at_home.contains(&score.local_share()),
            "{}: {}",
            score.label,
            score.local_share()
        );
    }
}

/// Also with another instant of the virtual time zero.
#[test]
fn the_same_seed_gives_the_same_digits() {
    let mut scenario = scenarios::restart();
    scenario.duration = 8 * event::SECOND;
    for contestant in Contestant::ALL {
        let run = |seed, base| sim::run(&scenario, &Row::of(contestant), seed, base).unwrap();
        let now = Instant::now();
        let (first, other) = (run(1, now), run(2, now));
        assert!(
            first == run(1, now + Duration::from_nanos(86_399_123_456_789)),
            "{}",
            first.label
        );
        assert!(first != other, "{}", first.label);
    }
}

#[test]
fn apertures_have_the_number_of_connections_of_the_formula() {
    let known = [
        (5, 18, 4, 5),
        (12, 24, 6, 6),
        (100, 30, 43, 43),
        (7, 100, 1, 2),
        (300, 300, 12, 12),
        (1_000, 10_000, 2, 2),
    ];
    for (clients, servers, least, most) in known {
        let aperture = Connections::of("", Subset::Aperture, clients, servers);
        assert_eq!(
            (aperture.least, aperture.most),
            (least, most),
            "{clients} and {servers}"
        );
        // A client covers this number of client slots, each as wide as servers / clients, and part of one more server.
        let width: f64 = (12.min(servers) as f64 * clients as f64 / servers as f64 - 1e-9).ceil()
            * servers as f64
            / clients as f64;
        let mean = aperture.total as f64 / clients as f64;
        assert!(
            (width..width + 2.0).contains(&(mean + 1e-9)),
            "{clients} and {servers}: {mean} and {width}"
        );
    }
}

#[test]
fn apertures_distribute_evenly_over_ten_thousand_servers() {
    let scenario = scenarios::aperture();
    let worst = |number: usize| {
        sim::run(&scenario, &scenario.rows[number], 1, Instant::now())
            .unwrap()
            .worst_in_shares()
    };
    let (aperture, rendezvous) = (worst(0), worst(3));
    assert!(
        aperture < 1.2 && rendezvous > 3.0,
        "{aperture} and {rendezvous}"
    );
}

#[test]
fn requests_without_a_response_are_late() {
    let mut scenario = scenarios::buoyant();
    scenario.duration = 2 * event::SECOND;
    scenario.changes = vec![(
        0,
        tower_simulator::scenario::Change::Capacity(5, f64::INFINITY, 0.0),
    )];
    scenario.bad = Some((5, 0, event::Nanos::MAX));
    let score = score(&scenario, Contestant::RoundRobin, 1);
    assert_eq!(score.latencies.len() as u64, score.requests);
    assert!(score.late > 150, "{}", score.late);
    assert_eq!(score.late, score.by_server[5]);
}

/// The gradient whatever the requests take, and Vegas if it gets averages of those that differ.
#[test]
fn adaptive_limits_keep_goodput_and_latency_under_three_times_the_load() {
    let base = Instant::now();
    for seed in SEEDS {
        for (work, guards) in [
            (overload::DIFFERENT, [Guard::Gradient, Guard::WindowedVegas]),
            (overload::ALIKE, [Guard::Gradient, Guard::Vegas]),
        ] {
            let run = |load, guard| overload::run(load, work, guard, seed, base).unwrap();
            let unloaded = run(0.1, Guard::None).quantile(0.99);
            for guard in guards {
                let outcome = run(3.0, guard);
                let (goodput, p99) = (outcome.goodput, outcome.quantile(0.99));
                assert!(goodput > 0.9, "seed {seed}, {guard:?}: {goodput}");
                assert!(
                    p99 < 5.0 * unloaded,
                    "seed {seed}, {guard:?}: {p99} ms, not {unloaded}"
                );
            }
        }
    }
}

/// Without a limit, or with one that is too high.
#[test]
fn a_server_collapses_under_three_times_the_load() {
    for work in [overload::DIFFERENT, overload::ALIKE] {
        let run = |guard| overload::run(3.0, work, guard, 1, Instant::now()).unwrap();
        let [none, high] = [Guard::None, Guard::Fixed(1000)].map(|guard| run(guard).goodput);
        assert!(none < 0.1 && high < 0.6, "{none} and {high}");
    }
}

/// An average over the last 600 requests knows nothing of the time before the overload.
#[test]
fn gradient2_rises_to_its_ceiling_if_the_requests_are_alike() {
    let outcome = overload::run(3.0, overload::ALIKE, Guard::Gradient2, 1, Instant::now()).unwrap();
    assert!(outcome.in_flight > 190.0, "{}", outcome.in_flight);
}

#[test]
fn tables_and_plots_have_a_row_for_each_picker() {
    let mut scenario = scenarios::equal();
    scenario.duration = 2_100 * event::MS;
    let scores: Vec<_> = Contestant::ALL
        .map(|contestant| score(&scenario, contestant, 1))
        .into();
    let table = table::of_scores(&scenario, &scores);
    let svg = plot::svg(&scenario, &scores);
    for score in &scores {
        assert!(table.contains(&format!("\n| {} |", score.label)));
        assert!(svg.contains(&format!(">{}</text>", score.label)));
    }
    assert_eq!(svg.matches("<polyline").count(), scores.len());
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
}
