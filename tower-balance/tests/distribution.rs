//! How each picker distributes requests, at no, low and high load and with weights from 1 to 1,000.

use std::convert::Infallible;
use std::future::ready;
use std::time::Duration;

use tokio::time::Instant;
use tower_balance::Balance;
use tower_balance::picker::{
    Endpoints, LeastLoaded, Levels, Locality, MaglevHash, Named, P2c, PickContext, Picker,
    PrequalPicker, Probes, Random, RingHash, RoundRobin, WeightedRoundRobin,
};
use tower_balance::policy::hash::xxh64;
use tower_balance::policy::prequal::{PrequalConfig, Report};
use tower_discover::ServiceList;
use tower_load::Constant;
use tower_service::Service;
use tower_util::rng::{Rng, SplitMix};
use tower_util::{ServiceExt, Tried, service_fn};

/// Endpoints that are all ready.
struct World {
    weights: Vec<u32>,
    loads: Vec<f64>,
}

impl Endpoints for World {
    type Load = f64;

    fn ready_len(&self) -> usize {
        self.weights.len()
    }

    fn generation(&self) -> u64 {
        1
    }

    fn load(&self, index: usize) -> f64 {
        self.loads[index]
    }

    fn weight(&self, index: usize) -> u32 {
        self.weights[index]
    }

    fn weight_of(&self, id: usize) -> Option<u32> {
        self.weights.get(id).copied()
    }

    fn id(&self, index: usize) -> usize {
        index
    }

    fn index_of(&self, id: usize) -> Option<usize> {
        (id < self.weights.len()).then_some(id)
    }
}

impl Named for World {
    fn name(&self, id: usize) -> Option<(String, u32)> {
        Some((format!("10.0.0.{id}:80"), self.weight_of(id)?))
    }
}

struct Seeded(SplitMix, Instant);

impl Rng for Seeded {
    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }
}

impl PickContext for Seeded {
    fn now(&mut self) -> Instant {
        self.1
    }
}

/// The number of requests in flight when another one arrives: none; one per two endpoints; or a hundred per endpoint,
/// and at least three times the sum of the weights.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Busy {
    Idle,
    Low,
    High,
}

impl Busy {
    const ALL: [Self; 3] = [Self::Idle, Self::Low, Self::High];

    fn in_flight(self, weights: &[u32]) -> usize {
        match self {
            Self::Idle => 0,
            Self::Low => weights.len().div_ceil(2),
            Self::High => {
                let sum = weights.iter().sum::<u32>() as usize;
                (3 * sum).max(100 * weights.len())
            }
        }
    }
}

const PICKS: usize = 12_000;
/// The number of picks with constant loads.
const PICKS_AT: usize = 6_000;

/// Picks this number of times, and calls `and` with the world and the picked endpoint after each.
fn pick<P: Picker<World, u64>>(
    mut picker: P,
    world: &mut World,
    picks: usize,
    mut and: impl FnMut(&mut World, usize, &mut Seeded),
) {
    for id in 0..world.weights.len() {
        picker.inserted(world, id);
    }
    let mut cx = Seeded(SplitMix::with_seed(7), Instant::now());
    for number in 0..picks as u64 {
        let key = xxh64(&number.to_le_bytes(), 0);
        let index = picker.pick(world, Some(&key), &mut cx).unwrap();
        and(world, index, &mut cx);
    }
}

/// Returns the share of each endpoint if all requests have the same duration; `and` is called after each pick.
fn shares_and<P: Picker<World, u64>>(
    picker: P,
    weights: &[u32],
    busy: Busy,
    mut and: impl FnMut(&World),
) -> Vec<f64> {
    let mut world = World {
        weights: weights.to_vec(),
        loads: vec![0.0; weights.len()],
    };
    let most = busy.in_flight(weights);
    let mut requests = Vec::with_capacity(most + 1);
    let mut counts = vec![0_u32; weights.len()];
    let mut seen = 0;
    pick(picker, &mut world, most + PICKS, |world, index, cx| {
        seen += 1;
        counts[index] += u32::from(seen > most);
        world.loads[index] += 1.0;
        requests.push(index);
        if requests.len() > most {
            let ended = cx.next_range(0..requests.len() as u64) as usize;
            world.loads[requests.swap_remove(ended)] -= 1.0;
        }
        and(world);
    });
    let share = |count: &u32| f64::from(*count) / PICKS as f64;
    counts.iter().map(share).collect()
}

fn shares<P: Picker<World, u64>>(picker: P, weights: &[u32], busy: Busy) -> Vec<f64> {
    shares_and(picker, weights, busy, |_| {})
}

/// Returns the share of each endpoint with constant loads.
fn shares_at<P: Picker<World, u64>>(picker: P, loads: &[f64], weights: &[u32]) -> Vec<f64> {
    let mut world = World {
        weights: weights.to_vec(),
        loads: loads.to_vec(),
    };
    let mut shares = vec![0.0; loads.len()];
    pick(picker, &mut world, PICKS_AT, |_, index, _| {
        shares[index] += 1.0 / PICKS_AT as f64;
    });
    shares
}

fn by_weight(weights: &[u32]) -> Vec<f64> {
    let sum: u32 = weights.iter().sum();
    let share = |weight: &u32| f64::from(*weight) / f64::from(sum);
    weights.iter().map(share).collect()
}

fn equal(weights: &[u32]) -> Vec<f64> {
    vec![1.0 / weights.len() as f64; weights.len()]
}

fn assert_shares(what: &str, shares: &[f64], due: &[f64], tolerance: f64) {
    for (share, due) in shares.iter().zip(due) {
        assert!(
            (share - due).abs() <= tolerance,
            "{what}: {shares:?} instead of {due:?}"
        );
    }
}

const WEIGHTS: [&[u32]; 9] = [
    &[1; 2],
    &[1; 10],
    &[1, 2],
    &[1, 100],
    &[10, 100],
    &[1, 2, 3, 4, 10],
    &[1, 10, 100, 1000],
    &[1000, 1, 1, 1, 1, 1],
    &[1, 1, 1, 1000, 1000, 1000],
];

/// Each picker that uses weights, and its tolerance at no load, low load and high load.
macro_rules! assert_by_weight {
    ($all:expr; $($name:literal: $picker:expr, $tolerances:expr;)*) => {
        $(for &weights in $all {
            for (busy, tolerance) in Busy::ALL.into_iter().zip($tolerances) {
                let shares = shares($picker, weights, busy);
                let what = format!("{} of {weights:?}, {busy:?}", $name);
                assert_shares(&what, &shares, &by_weight(weights), tolerance);
            }
        })*
    };
}

fn key(key: &u64) -> Option<u64> {
    Some(*key)
}

#[test]
fn round_robin_and_random_follow_weights_at_any_load() {
    assert_by_weight! {
        &WEIGHTS;
        "weighted round robin": WeightedRoundRobin::new(), [0.002; 3];
        "random": Random::new(), [0.02; 3];
        "weighted round robin in a level": Levels::new(WeightedRoundRobin::new(), |_: &str| Locality::default()), [0.002; 3];
    }
}

/// The tolerance is greater at low load, where a single request is a large share of all.
#[test]
fn least_loaded_follows_weights_at_any_load() {
    assert_by_weight! {
        &WEIGHTS;
        "least of two": LeastLoaded::new(), [0.02, 0.1, 0.02];
        "least of three": LeastLoaded::of(3), [0.02, 0.1, 0.02];
        "least of ten": LeastLoaded::of(10), [0.02, 0.1, 0.02];
        "least of all": LeastLoaded::of_all(), [0.02, 0.1, 0.02];
        "least of two in a level": Levels::new(LeastLoaded::new(), |_: &str| Locality::default()), [0.02, 0.1, 0.02];
    }
}

/// The neighbours of an endpoint with a large weight receive no more than the others, and none receives more than its
/// weight.
#[test]
fn endpoints_of_small_weight_receive_small_shares_at_any_load() {
    for busy in Busy::ALL {
        for shares in [
            shares(LeastLoaded::new(), &[1000, 1, 1, 1, 1, 1], busy),
            shares(LeastLoaded::of(3), &[1000, 1, 1, 1, 1, 1], busy),
            shares(LeastLoaded::of_all(), &[1000, 1, 1, 1, 1, 1], busy),
        ] {
            for share in &shares[1..] {
                assert!((0.0..0.003).contains(share), "{busy:?} {shares:?}");
            }
        }
    }
}

/// The tolerance of the rings depends on their number of points.
#[test]
fn hashing_follows_weights_at_any_load() {
    // Building a ring with the last weights would take long.
    assert_by_weight! {
        &WEIGHTS[..7];
        "maglev": MaglevHash::by(key), [0.02; 3];
        "maglev, bounded": MaglevHash::by(key).bounded(150).unwrap(), [0.02, 0.1, 0.02];
        "ring": RingHash::by(key), [0.045; 3];
        "ring, bounded": RingHash::by(key).bounded(125).unwrap(), [0.045, 0.09, 0.045];
        "ring of Envoy": RingHash::by(key).compatible(4096, 8_388_608).unwrap(), [0.045; 3];
    }
}

#[test]
fn pickers_without_weights_distribute_equally_at_any_load() {
    for weights in WEIGHTS {
        for busy in Busy::ALL {
            let due = equal(weights);
            let what = format!("{weights:?}, {busy:?}");
            assert_shares(&what, &shares(P2c::new(), weights, busy), &due, 0.02);
            assert_shares(
                &what,
                &shares(RoundRobin::new(), weights, busy),
                &due,
                0.001,
            );
            assert_shares(&what, &prequal(weights, busy), &due, 0.03);
        }
    }
}

/// The servers respond to their probes immediately.
fn prequal(weights: &[u32], busy: Busy) -> Vec<f64> {
    let (picker, probes) = PrequalPicker::with_rng(
        PrequalConfig::default().hot_quantile(0.5),
        SplitMix::with_seed(3),
    )
    .unwrap();
    let now = Instant::now();
    shares_and(picker, weights, busy, |world| answer(&probes, world, now))
}

fn answer(probes: &Probes, world: &World, now: Instant) {
    while let Some((ticket, name)) = probes.next_due() {
        let number = name.strip_prefix("10.0.0.").unwrap();
        let number: usize = number.strip_suffix(":80").unwrap().parse().unwrap();
        let report = Report {
            endpoint: ticket,
            rif: world.loads[number] as u32,
            latency: Duration::from_millis(10),
            failing: 0.0,
        };
        probes.report(report, now);
    }
}

/// The endpoint that follows the busy ones used to receive 6,146 of 10,000.
#[test]
fn ties_are_broken_evenly_wherever_the_busy_endpoints_are() {
    let mut loads = [9.0, 9.0, 9.0, 9.0, 9.0, 1.0, 1.0, 1.0, 1.0, 1.0];
    for _ in 0..10 {
        loads.rotate_left(1);
        // Also if the load is not a number of requests.
        for loads in [loads, loads.map(|load| load * 0.3)] {
            let due = loads.map(|load| if load < 2.0 { 0.2 } else { 0.0 });
            for choices in [10, 11, usize::MAX] {
                let shares = shares_at(LeastLoaded::of(choices), &loads, &[1; 10]);
                assert_shares(&format!("{loads:?}"), &shares, &due, 0.02);
            }
            // A busy endpoint is picked only if both are busy: 10 of 45 pairs.
            let due = loads.map(|load| if load < 2.0 { 7.0 / 45.0 } else { 2.0 / 45.0 });
            let shares = shares_at(P2c::new(), &loads, &[1; 10]);
            assert_shares(&format!("{loads:?}"), &shares, &due, 0.02);
            let shares = shares_at(LeastLoaded::new(), &loads, &[1; 10]);
            assert_shares(&format!("{loads:?}"), &shares, &due, 0.02);
        }
    }
}

#[test]
fn ties_are_broken_by_weight() {
    for loads in [[0.0; 3], [2.0; 3]] {
        let weights = [7, 7, 7];
        let shares = shares_at(LeastLoaded::of_all(), &loads, &weights);
        assert_shares("equal", &shares, &equal(&weights), 0.02);
    }
    for choices in [2, 3, usize::MAX] {
        for weights in [[1, 100, 1000], [5, 0, 15], [0, 0, 0]] {
            let shares = shares_at(LeastLoaded::of(choices), &[0.0; 3], &weights);
            let due = match weights {
                [0, 0, 0] => equal(&weights),
                _ => by_weight(&weights),
            };
            assert_shares(&format!("{weights:?}"), &shares, &due, 0.02);
        }
    }
    // Equal loads relative to the weights.
    let shares = shares_at(LeastLoaded::of_all(), &[0.25, 0.5, 9.0], &[1, 2, 1]);
    assert_shares("in proportion", &shares, &[1.0 / 3.0, 2.0 / 3.0, 0.0], 0.02);
}

/// A retry goes to each of the others equally often, and not mostly to the next one.
#[tokio::test]
async fn retries_are_distributed_equally_over_the_others() {
    let endpoints = (0..5_usize).map(|number| {
        let service = service_fn(move |_: Tried| ready(Ok::<_, Infallible>(number)));
        Constant::new(service, 0_u32)
    });
    let list = ServiceList::new::<Tried>(endpoints.collect::<Vec<_>>());
    let mut balance = Balance::from_rng(list, SplitMix::with_seed(1))
        .avoid_tried(|request: &Tried| Some(request));
    let mut after = [0_u32; 5];
    for _ in 0..8_000 {
        let request = Tried::new();
        let mut numbers = [0; 2];
        for number in &mut numbers {
            let service = balance.ready().await.unwrap();
            *number = service.call(request.clone()).await.unwrap();
        }
        after[(5 + numbers[1] - numbers[0]) % 5] += 1;
    }
    assert_eq!(after[0], 0);
    for count in &after[1..] {
        assert!((1_850..2_150).contains(count), "{after:?}");
    }
}
