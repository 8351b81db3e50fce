//! Which endpoints the pickers choose, also while endpoints are added, removed, or not ready.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::task::{Context, Poll};

use proptest::prelude::*;
use tokio::time::Instant;
use tokio_test::{assert_pending, assert_ready, assert_ready_ok};
use tower_balance::p2c::Balance;
use tower_balance::picker::{
    Endpoints, LeastLoaded, Levels, Locality, MaglevHash, Named, P2c, PickContext, Picker,
    PrequalPicker, ProbeAnswer, Random, RingHash, RoundRobin, WeightedRoundRobin,
};
#[cfg(feature = "ketama")]
use tower_balance::policy::Ketama;
use tower_balance::policy::hash::xxh64;
use tower_balance::policy::prequal::{PrequalConfig, Report};
use tower_discover::{Change, ServiceList, channel};
use tower_load::{Constant, Load, Weighted};
use tower_service::Service;
use tower_test::mock::{self, Spawn};
use tower_util::rng::{Rng, SplitMix};
use tower_util::{ServiceExt, service_fn};

/// Endpoints for tests: numbered, with a load and a weight, ready or not.
#[derive(Clone, Debug, Default)]
struct Fake {
    endpoints: BTreeMap<usize, (f64, u32)>,
    ready: Vec<usize>,
}

impl Fake {
    fn new(endpoints: impl IntoIterator<Item = (f64, u32)>) -> Self {
        let endpoints: BTreeMap<_, _> = endpoints.into_iter().enumerate().collect();
        Self {
            ready: endpoints.keys().copied().collect(),
            endpoints,
        }
    }

    fn weights(weights: &[u32]) -> Self {
        Self::new(weights.iter().map(|&weight| (0.0, weight)))
    }

    fn picker<P: Picker<Self, u64>>(&self, mut picker: P) -> P {
        for &id in self.endpoints.keys() {
            picker.inserted(self, id);
        }
        picker
    }

    fn pick<P: Picker<Self, u64>>(
        &self,
        picker: &mut P,
        key: u64,
        cx: &mut Seeded,
    ) -> Option<usize> {
        let index = picker.pick(self, Some(&key), cx)?;
        Some(self.ready[index])
    }

    /// Returns the share of each endpoint, out of this number of requests with different keys.
    fn shares<P: Picker<Self, u64>>(&self, picker: P, requests: u64) -> Vec<f64> {
        let mut picker = self.picker(picker);
        let mut cx = Seeded::new(1);
        let mut counts = vec![0_u64; self.endpoints.keys().max().map_or(0, |last| last + 1)];
        for key in 0..requests {
            counts[self
                .pick(&mut picker, xxh64(&key.to_le_bytes(), 0), &mut cx)
                .unwrap()] += 1;
        }
        counts
            .iter()
            .map(|&count| count as f64 / requests as f64)
            .collect()
    }
}

impl Endpoints for Fake {
    type Load = f64;

    fn ready_len(&self) -> usize {
        self.ready.len()
    }

    fn generation(&self) -> u64 {
        // A hash of the ready endpoints, in order.
        self.ready
            .iter()
            .fold(self.ready.len() as u64, |sum, &id| sum * 31 + id as u64)
    }

    fn load(&self, index: usize) -> f64 {
        self.endpoints[&self.ready[index]].0
    }

    fn weight(&self, index: usize) -> u32 {
        self.endpoints[&self.ready[index]].1
    }

    fn weight_of(&self, id: usize) -> Option<u32> {
        self.endpoints.get(&id).map(|(_, weight)| *weight)
    }

    fn id(&self, index: usize) -> usize {
        self.ready[index]
    }

    fn index_of(&self, id: usize) -> Option<usize> {
        self.ready.iter().position(|&ready| ready == id)
    }
}

impl Named for Fake {
    fn name(&self, id: usize) -> Option<(String, u32)> {
        Some((format!("10.0.0.{id}:80"), self.weight_of(id)?))
    }
}

struct Seeded(SplitMix, Instant);

impl Seeded {
    fn new(seed: u64) -> Self {
        Self(SplitMix::with_seed(seed), Instant::now())
    }
}

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

fn ring() -> RingHash<fn(&u64) -> Option<u64>> {
    RingHash::by(|key: &u64| Some(*key))
}

fn maglev() -> MaglevHash<fn(&u64) -> Option<u64>> {
    MaglevHash::by(|key: &u64| Some(*key))
}

#[test]
fn shares_are_by_weight_to_two_percent() {
    let weights = [1, 2, 3, 4, 0, 10];
    let endpoints = Fake::weights(&weights);
    let sum: u32 = weights.iter().sum();
    let check = |name: &str, shares: Vec<f64>, tolerance: f64| {
        for (share, weight) in shares.iter().zip(weights) {
            let expected = f64::from(weight) / f64::from(sum);
            assert!(
                (share - expected).abs() <= tolerance,
                "{name}: {share} instead of {expected}"
            );
        }
    };
    check(
        "turns",
        endpoints.shares(WeightedRoundRobin::new(), 100_000),
        0.001,
    );
    check("random", endpoints.shares(Random::new(), 100_000), 0.01);
    check("maglev", endpoints.shares(maglev(), 100_000), 0.01);
    let ring = ring().points_per_weight(1_600).unwrap();
    check("ring", endpoints.shares(ring, 100_000), 0.02);
    check(
        "least loaded",
        endpoints.shares(LeastLoaded::new(), 100_000),
        0.01,
    );
    for share in endpoints.shares(RoundRobin::new(), 60_000) {
        assert!((share - 1.0 / 6.0).abs() < 1e-3);
    }
}

#[test]
fn weights_of_zero_are_treated_as_equal() {
    let endpoints = Fake::weights(&[0, 0, 0]);
    for shares in [
        endpoints.shares(WeightedRoundRobin::new(), 30_000),
        endpoints.shares(Random::new(), 30_000),
        endpoints.shares(LeastLoaded::new(), 30_000),
        endpoints.shares(maglev(), 30_000),
        endpoints.shares(ring(), 30_000),
    ] {
        for share in &shares {
            assert!(*share > 0.2 && *share < 0.5, "{shares:?}");
        }
    }
}

#[test]
fn an_endpoint_of_weight_zero_is_not_picked_first() {
    let endpoints = Fake::weights(&[0, 0, 0, 1]);
    for seed in 0..200 {
        let mut cx = Seeded::new(seed);
        let mut random = endpoints.picker(Random::new());
        assert_eq!(endpoints.pick(&mut random, 0, &mut cx), Some(3));
        let mut turns = endpoints.picker(WeightedRoundRobin::new());
        assert_eq!(endpoints.pick(&mut turns, 0, &mut cx), Some(3));
    }
}

#[test]
fn very_large_weights_are_valid() {
    let endpoints = Fake::weights(&[u32::MAX, 1, u32::MAX / 2]);
    for shares in [
        endpoints.shares(WeightedRoundRobin::new(), 30_000),
        endpoints.shares(Random::new(), 30_000),
    ] {
        assert!(
            (shares[0] - 2.0 / 3.0).abs() < 0.02 && shares[1] < 1e-3,
            "{shares:?}"
        );
    }
}

#[test]
fn a_changed_weight_takes_effect() {
    let mut endpoints = Fake::weights(&[1, 1]);
    let mut turns = endpoints.picker(WeightedRoundRobin::new());
    let mut random = endpoints.picker(Random::new());
    let mut cx = Seeded::new(1);
    for key in 0..100 {
        endpoints.pick(&mut turns, key, &mut cx);
        endpoints.pick(&mut random, key, &mut cx);
    }
    endpoints.endpoints.insert(0, (0.0, 9));
    let mut first = [0, 0];
    for key in 0..10_000 {
        first[0] += usize::from(endpoints.pick(&mut turns, key, &mut cx) == Some(0));
        first[1] += usize::from(endpoints.pick(&mut random, key, &mut cx) == Some(0));
    }
    assert!(
        first.iter().all(|&count| (8_800..9_200).contains(&count)),
        "{first:?}"
    );
}

/// However large the removed weight was, and however many endpoints have weight 0.
#[test]
fn after_a_large_weight_is_removed_the_others_share_by_weight() {
    let mut endpoints = Fake::weights(&[1_000_000, 1, 3, 0]);
    let mut turns = endpoints.picker(WeightedRoundRobin::new());
    let mut random = endpoints.picker(Random::new());
    let mut cx = Seeded::new(1);
    let mut share = |endpoints: &Fake, id, picks: usize| {
        let mut counts = [0; 2];
        for key in 0..picks as u64 {
            counts[0] += usize::from(endpoints.pick(&mut turns, key, &mut cx) == Some(id));
            counts[1] += usize::from(endpoints.pick(&mut random, key, &mut cx) == Some(id));
        }
        counts.map(|count| count as f64 / picks as f64)
    };
    assert!(
        share(&endpoints, 0, 1_000)
            .iter()
            .all(|share| *share > 0.99)
    );
    endpoints.endpoints.insert(0, (0.0, 1));
    for (id, expected) in [(0, 0.2), (1, 0.2), (2, 0.6), (3, 0.0)] {
        for share in share(&endpoints, id, 20_000) {
            assert!((share - expected).abs() < 0.02, "{id}: {share}");
        }
    }
    endpoints.ready = vec![1, 3];
    assert_eq!(share(&endpoints, 1, 1_000), [1.0, 1.0]);

    let mut weights = vec![0; 1_000];
    weights[7] = 1;
    assert_eq!(Fake::weights(&weights).shares(Random::new(), 1_000)[7], 1.0);
}

#[test]
fn the_lowest_load_relative_to_weight_is_picked() {
    let endpoints = Fake::new([(4.0, 1), (6.0, 3), (5.0, 2)]);
    let shares = endpoints.shares(LeastLoaded::of_all(), 100);
    assert_eq!(shares, [0.0, 1.0, 0.0]);
    let shares = endpoints.shares(LeastLoaded::of(3), 100);
    assert_eq!(shares, [0.0, 1.0, 0.0]);
    let shares = endpoints.shares(LeastLoaded::new(), 10_000);
    assert!(shares[1] > 0.5 && shares[0] < 0.1, "{shares:?}");
    assert_eq!(
        endpoints.shares(P2c::new(), 9_000)[1],
        0.0,
        "without weights it is the most loaded"
    );
}

/// Of ten endpoints, the first four have the first priority, and the last two the last one.
fn level(name: &str) -> Locality {
    let n: usize = name
        .strip_prefix("10.0.0.")
        .unwrap()
        .strip_suffix(":80")
        .unwrap()
        .parse()
        .unwrap();
    Locality {
        priority: match n {
            0..4 => 0,
            4..8 => 1,
            _ => 2,
        },
        zone: n % 2,
    }
}

#[test]
fn requests_beyond_the_capacity_of_a_level_go_to_the_next() {
    let mut endpoints = Fake::weights(&[1; 10]);
    let mut cx = Seeded::new(1);
    let mut picker = endpoints.picker(Levels::new(P2c::new(), level));
    let mut shares = |endpoints: &Fake| {
        let mut counts = [0_u32; 3];
        for _ in 0..10_000 {
            let id = endpoints.pick(&mut picker, 0, &mut cx).unwrap();
            counts[level(&format!("10.0.0.{id}:80")).priority] += 1;
        }
        counts.map(|count| (f64::from(count) / 100.0).round() as u32)
    };
    assert_eq!(shares(&endpoints), [100, 0, 0]);
    // With a factor of 140 %, three of four endpoints take all requests, and two take 70 %.
    endpoints.ready.retain(|&id| id != 0);
    assert_eq!(shares(&endpoints), [100, 0, 0]);
    endpoints.ready.retain(|&id| id != 1);
    let [first, second, third] = shares(&endpoints);
    assert!(first.abs_diff(70) <= 2 && second.abs_diff(30) <= 2 && third == 0);
    endpoints.ready = vec![8, 9];
    assert_eq!(shares(&endpoints), [0, 0, 100]);
    endpoints.ready = vec![9];
    assert_eq!(shares(&endpoints), [0, 0, 100]);
}

#[test]
fn requests_stay_in_the_zone_as_far_as_it_has_the_capacity() {
    let endpoints = Fake::weights(&[1; 8]);
    let all = |_: &str| Locality::default();
    let zoned = |name: &str| Locality {
        priority: 0,
        ..level(name)
    };
    let local = |picker: Levels<LeastLoaded, fn(&str) -> Locality>| {
        let shares = endpoints.shares(picker, 20_000);
        shares.iter().step_by(2).sum::<f64>()
    };
    // If clients are distributed like endpoints, all requests stay. With two thirds of the clients, three quarters
    // stay.
    assert_eq!(
        local(Levels::new(LeastLoaded::new(), zoned as fn(&str) -> Locality).zones(0, [5, 5])),
        1.0
    );
    let some =
        local(Levels::new(LeastLoaded::new(), zoned as fn(&str) -> Locality).zones(0, [20, 10]));
    assert!((some - 0.75).abs() < 0.02, "{some}");
    let without =
        local(Levels::new(LeastLoaded::new(), all as fn(&str) -> Locality).zones(0, [20, 10]));
    assert!((without - 0.5).abs() < 0.02, "{without}");
}

/// Each group has its own round robin; and levels can be nested.
#[test]
fn each_level_has_its_own_round_robin() {
    let mut endpoints = Fake::weights(&[1; 25]);
    // Too few of the first 20 are ready, so the last five take the rest.
    endpoints.ready = (0..6).chain(20..25).collect();
    let first = |name: &str| Locality {
        priority: usize::from(name.len() == "10.0.0.20:80".len() && name >= "10.0.0.20:80"),
        ..Locality::default()
    };
    let check = |shares: Vec<f64>, tolerance: f64| {
        // 140 % of 6 / 20.
        for id in 0..6 {
            assert!((shares[id] - 0.42 / 6.0).abs() < tolerance, "{shares:?}");
        }
        for id in 20..25 {
            assert!((shares[id] - 0.58 / 5.0).abs() < tolerance, "{shares:?}");
        }
    };
    check(
        endpoints.shares(Levels::new(RoundRobin::new(), first), 50_000),
        0.01,
    );
    check(
        endpoints.shares(Levels::new(WeightedRoundRobin::new(), first), 50_000),
        0.01,
    );
    check(
        endpoints.shares(Levels::new(Random::new(), first), 50_000),
        0.01,
    );
    let all = |_: &str| Locality::default();
    let nested = Levels::new(Levels::new(P2c::new(), all), first);
    check(endpoints.shares(nested, 50_000), 0.01);
}

/// In panic, a level without ready endpoints has a share too, which is spread over all ready endpoints.
#[test]
fn the_share_of_a_level_without_ready_endpoints_is_spread_evenly() {
    let mut endpoints = Fake::weights(&[1; 50]);
    endpoints.ready = vec![0, 46, 47, 48, 49];
    let place = |name: &str| {
        let id: usize = name["10.0.0.".len()..name.len() - 3].parse().unwrap();
        let priority = usize::from(id >= 5) + usize::from(id >= 40);
        Locality { priority, zone: 0 }
    };
    let shares = endpoints.shares(Levels::new(P2c::new(), place), 20_000);
    assert!(shares[0] < 0.3, "{shares:?}");
}

/// Returns the share of keys that move when one of `count` endpoints is missing, and of those that move needlessly.
fn moved<P: Picker<Fake, u64>>(new: fn() -> P, count: usize) -> (f64, f64) {
    const KEYS: u64 = 20_000;
    let all = Fake::weights(&vec![1; count]);
    let mut one_less = all.clone();
    one_less.endpoints.remove(&3);
    one_less.ready.retain(|&id| id != 3);
    let (mut before, mut after) = (all.picker(new()), all.picker(new()));
    after.removed(3);
    let mut cx = Seeded::new(1);
    let (mut moved, mut needless) = (0.0, 0.0);
    for key in (0..KEYS).map(|key| xxh64(&key.to_le_bytes(), 0)) {
        let from = all.pick(&mut before, key, &mut cx).unwrap();
        let to = one_less.pick(&mut after, key, &mut cx).unwrap();
        moved += f64::from(u8::from(from != to));
        needless += f64::from(u8::from(from != to && from != 3));
    }
    (moved / KEYS as f64, needless / KEYS as f64)
}

#[test]
fn a_change_moves_few_keys() {
    for count in [10, 100] {
        let most = 2.0 / count as f64;
        let (all, needless) = moved(ring, count);
        assert!(all <= most && needless == 0.0, "{all} {needless}");
        let (all, _) = moved(maglev, count);
        assert!(all <= most, "{all}");
    }
    let (_, needless) = moved(|| ring().compatible(1024, 4096).unwrap(), 10);
    assert!(
        needless > 0.01,
        "Envoy's ring moves keys needlessly: {needless}"
    );
}

#[test]
fn a_key_stays_at_its_endpoint_and_skips_those_that_are_not_ready() {
    let mut endpoints = Fake::weights(&[1; 10]);
    let mut cx = Seeded::new(1);
    let pickers: [Box<dyn FnMut(&Fake, u64, &mut Seeded) -> usize>; 3] = [
        {
            let mut picker = endpoints.picker(ring());
            Box::new(move |fake, key, cx| fake.pick(&mut picker, key, cx).unwrap())
        },
        {
            let mut picker = endpoints.picker(maglev());
            Box::new(move |fake, key, cx| fake.pick(&mut picker, key, cx).unwrap())
        },
        {
            let mut picker = endpoints.picker(ring().compatible(1024, 4096).unwrap());
            Box::new(move |fake, key, cx| fake.pick(&mut picker, key, cx).unwrap())
        },
    ];
    for mut pick in pickers {
        for key in (0..200_u64).map(|key| xxh64(&key.to_le_bytes(), 0)) {
            let home = pick(&endpoints, key, &mut cx);
            assert_eq!(pick(&endpoints, key, &mut cx), home);
            endpoints.ready.retain(|&id| id != home);
            let refuge = pick(&endpoints, key, &mut cx);
            assert_ne!(refuge, home);
            assert_eq!(pick(&endpoints, key, &mut cx), refuge, "also there");
            endpoints.ready.push(home);
            assert_eq!(pick(&endpoints, key, &mut cx), home, "and back");
        }
    }
}

#[test]
fn a_hot_key_overloads_no_endpoint() {
    let mut endpoints = Fake::weights(&[1; 10]);
    let mut picker = endpoints.picker(ring().bounded(125).unwrap());
    let mut cx = Seeded::new(1);
    for requests in 1..=1000_u32 {
        let id = endpoints.pick(&mut picker, 7, &mut cx).unwrap();
        endpoints.endpoints.get_mut(&id).unwrap().0 += 1.0;
        let most = endpoints
            .endpoints
            .values()
            .map(|(load, _)| *load)
            .fold(0.0, f64::max);
        let bound = (1.25 * f64::from(requests) / 10.0).ceil() + 1.0;
        assert!(most <= bound, "{most} of {requests}");
    }
    assert!(ring().bounded(99).is_err() && maglev().bounded(0).is_err());
    assert!(maglev().table_size(65_536).is_err(), "no prime");
}

/// Two clients that have discovered the endpoints in opposite orders.
#[test]
fn all_clients_map_a_key_to_the_same_endpoint() {
    fn homes<P: Picker<Fake, u64>>(mut picker: P, backwards: bool) -> Vec<usize> {
        let endpoints = Fake::weights(&[3, 7, 11, 13]);
        let mut order: Vec<_> = endpoints.endpoints.keys().copied().collect();
        if backwards {
            order.reverse();
        }
        for id in order {
            picker.inserted(&endpoints, id);
        }
        let mut cx = Seeded::new(1);
        let mut home =
            |key: u64| endpoints.pick(&mut picker, xxh64(&key.to_le_bytes(), 0), &mut cx);
        (0..20_000).map(|key| home(key).unwrap()).collect()
    }
    assert_eq!(homes(ring(), false), homes(ring(), true));
    assert_eq!(homes(maglev(), false), homes(maglev(), true));
    let envoy = || ring().compatible(100, 100).unwrap();
    assert_eq!(homes(envoy(), false), homes(envoy(), true));
    #[cfg(feature = "ketama")]
    {
        let nginx = || RingHash::by(|key: &u64| Some(Ketama::hash(&key.to_le_bytes()))).ketama();
        let nginx_homes = homes(nginx(), false);
        assert_eq!(nginx_homes, homes(nginx(), true));
        let of_most = nginx_homes.iter().filter(|id| **id == 3).count();
        assert!((7_000..8_500).contains(&of_most), "{of_most} for 13 of 34");
    }
}

#[test]
fn the_bound_follows_the_ready_endpoints() {
    let mut endpoints = Fake::weights(&[1; 1_000]);
    endpoints.endpoints.insert(5, (f64::INFINITY, 1));
    let mut picker = endpoints.picker(ring().bounded(125).unwrap());
    let mut cx = Seeded::new(1);
    endpoints.pick(&mut picker, 7, &mut cx).unwrap();
    for id in 4..1_000 {
        endpoints.endpoints.remove(&id);
        picker_removed(&mut picker, id);
    }
    endpoints.ready.truncate(4);
    for _ in 0..600 {
        let id = endpoints.pick(&mut picker, 7, &mut cx).unwrap();
        endpoints.endpoints.get_mut(&id).unwrap().0 += 1.0;
    }
    for (load, _) in endpoints.endpoints.values() {
        assert!(
            *load <= 600.0 / 4.0 * 1.25 + 2.0,
            "{load} of 600 on one of four"
        );
    }
}

#[test]
fn the_remaining_endpoints_are_probed_as_often_as_before() {
    let mut endpoints = Fake::weights(&[1; 1_000]);
    let (picker, probes) = PrequalPicker::new(PrequalConfig::default()).unwrap();
    let mut picker = endpoints.picker(picker);
    for id in 0..990 {
        endpoints.endpoints.remove(&id);
        picker_removed(&mut picker, id);
    }
    endpoints.ready.retain(|id| *id >= 990);
    let mut cx = Seeded::new(1);
    let mut due = 0;
    for _ in 0..1_000 {
        endpoints.pick(&mut picker, 0, &mut cx);
        due += std::iter::from_fn(|| probes.next_due()).count();
    }
    assert!(due > 2_000, "three for a request, not {due} for a thousand");
}

#[test]
fn a_result_counts_only_for_its_own_endpoint_and_only_while_that_is_ready() {
    let mut endpoints = Fake::weights(&[1; 4]);
    let (picker, probes) = PrequalPicker::new(PrequalConfig::default()).unwrap();
    let mut picker = endpoints.picker(picker);
    let mut cx = Seeded::new(1);
    let now = cx.now();
    let report = |endpoint, millis| Report {
        endpoint,
        rif: 0,
        latency: std::time::Duration::from_millis(millis),
        failing: 0.0,
    };
    // The fastest is not ready, but responds to its probes. The next best does not respond in every fourth round, and
    // is not picked in it.
    endpoints.ready = vec![1, 2, 3];
    let mut second = 0;
    let mut tickets = HashMap::new();
    for _ in 0..3_000 {
        second += usize::from(endpoints.pick(&mut picker, 0, &mut cx) == Some(1));
        while let Some((ticket, name)) = probes.next_due() {
            let id = (0..4)
                .find(|id| *name == *format!("10.0.0.{id}:80"))
                .unwrap();
            tickets.insert(id, ticket);
            probes.report(report(ticket, [1, 2, 500, 500][id]), now);
        }
    }
    assert!(
        second > 2_000,
        "{second} for the best of those that are ready"
    );

    // Number 1 is another endpoint now, without a result.
    picker_removed(&mut picker, 1);
    picker_inserted(&mut picker, &endpoints, 1);
    let mut first_of_all = 0;
    for _ in 0..1_000 {
        first_of_all += usize::from(endpoints.pick(&mut picker, 0, &mut cx) == Some(1));
        for id in [1, 2, 3] {
            probes.report(report(tickets[&id], [0, 1, 50, 60][id]), now);
        }
    }
    assert!(
        first_of_all < 100,
        "{first_of_all} for what was its predecessor's"
    );
}

fn picker_inserted<P: Picker<Fake, u64>>(picker: &mut P, endpoints: &Fake, id: usize) {
    picker.inserted(endpoints, id);
}

#[test]
fn picks_by_probes_or_else_at_random() {
    let endpoints = Fake::weights(&[1; 4]);
    let (picker, probes) = PrequalPicker::new(PrequalConfig::default()).unwrap();
    let mut picker = endpoints.picker(picker);
    let mut cx = Seeded::new(1);
    let mut asked = HashMap::new();
    let now = cx.now();
    let mut picked = [0; 4];
    for _ in 0..400 {
        picked[endpoints.pick(&mut picker, 0, &mut cx).unwrap()] += 1;
        while let Some((id, name)) = probes.next_due() {
            assert_eq!(&*name, format!("10.0.0.{id}:80"));
            *asked.entry(id).or_insert(0) += 1;
            let latency = std::time::Duration::from_millis(if id == 2 { 1 } else { 50 });
            let report = Report {
                endpoint: id,
                rif: 1,
                latency,
                failing: 0.0,
            };
            probes.report(report, now);
        }
    }
    assert_eq!(asked.len(), 4, "all are probed now and then");
    assert!(picked[2] > 250, "{picked:?}");
    picker_removed(&mut picker, 2);
    let again = (0..200)
        .filter(|_| probes.next_due().is_some_and(|(id, _)| id == 2))
        .count();
    assert_eq!(again, 0, "a removed endpoint is not probed");
}

fn picker_removed<P: Picker<Fake, u64>>(picker: &mut P, id: usize) {
    picker.removed(id);
}

#[tokio::test]
async fn a_task_that_waits_for_probes_is_woken_and_sees_the_end() {
    let endpoints = Fake::weights(&[1; 4]);
    let (picker, probes) = PrequalPicker::new(PrequalConfig::default()).unwrap();
    let mut picker = endpoints.picker(picker);
    let mut due = tokio_test::task::spawn(std::future::poll_fn(move |cx| probes.poll_due(cx)));
    assert_pending!(due.poll());
    endpoints.pick(&mut picker, 0, &mut Seeded::new(1)).unwrap();
    assert!(due.is_woken());
    while let Poll::Ready(next) = due.poll() {
        assert!(next.is_some());
    }
    drop(picker);
    assert!(due.is_woken());
    assert_eq!(assert_ready!(due.poll()), None);
}

/// A probe that times out or fails has no result, and the task ends with the picker.
#[tokio::test(start_paused = true)]
async fn probes_are_bounded_and_end_with_the_picker() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    let endpoints = Fake::weights(&[1; 50]);
    let (picker, probes) = PrequalPicker::new(PrequalConfig::default()).unwrap();
    let mut picker = endpoints.picker(picker);
    let (sent, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    struct Open(Arc<AtomicUsize>);
    impl Drop for Open {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }
    let probe = {
        let (sent, open) = (Arc::clone(&sent), Arc::clone(&open));
        service_fn(move |_name: Arc<str>| {
            let hangs = sent.fetch_add(1, Ordering::Relaxed) % 2 == 1;
            open.fetch_add(1, Ordering::Relaxed);
            let guard = Open(Arc::clone(&open));
            async move {
                let _guard = guard;
                match hangs {
                    true => std::future::pending().await,
                    false => Err::<ProbeAnswer, _>("no"),
                }
            }
        })
    };
    let task = tokio::spawn(probes.run(probe, std::time::Duration::from_millis(3)));
    let mut cx = Seeded::new(1);
    for _ in 0..100 {
        endpoints.pick(&mut picker, 0, &mut cx).unwrap();
        tokio::task::yield_now().await;
        assert!(open.load(Ordering::Relaxed) <= 64);
    }
    assert!(
        sent.load(Ordering::Relaxed) > 64,
        "probes that failed no longer count"
    );
    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    assert_eq!(open.load(Ordering::Relaxed), 0, "they were dropped");
    drop(picker);
    task.await.unwrap();
}

proptest! {
    /// Whatever is added, removed, or ready, each picker picks a ready endpoint, if there is one, and never panics.
    #[test]
    fn no_picker_picks_an_endpoint_that_is_not_ready(
        steps in prop::collection::vec((0..8_usize, 0..4_u8, any::<u32>()), 1..80),
        seed: u64,
    ) {
        let mut fake = Fake::default();
        let mut cx = Seeded::new(seed);
        let (mut p2c, mut least, mut all) = (P2c::new(), LeastLoaded::new(), LeastLoaded::of_all());
        let (mut turns, mut weighted, mut random) = (RoundRobin::new(), WeightedRoundRobin::new(), Random::new());
        let (mut ring, mut table) = (ring(), maglev().table_size(101).unwrap());
        let mut bounded = self::ring().bounded(100).unwrap();
        let mut envoys = self::ring().compatible(16, 64).unwrap();
        let (mut prequal, _probes) = PrequalPicker::new(PrequalConfig::default()).unwrap();
        let mut levels = Levels::new(LeastLoaded::new(), level as fn(&str) -> Locality).zones(1, [3, 2]);
        let mut hashed_levels = Levels::new(self::ring(), level as fn(&str) -> Locality);
        macro_rules! each {
            ($picker:ident => $do:expr) => {{
                { let $picker = &mut p2c; $do } { let $picker = &mut least; $do } { let $picker = &mut all; $do }
                { let $picker = &mut turns; $do } { let $picker = &mut weighted; $do } { let $picker = &mut random; $do }
                { let $picker = &mut ring; $do } { let $picker = &mut table; $do } { let $picker = &mut bounded; $do }
                { let $picker = &mut envoys; $do } { let $picker = &mut prequal; $do }
                { let $picker = &mut levels; $do } { let $picker = &mut hashed_levels; $do }
            }};
        }
        for (id, what, weight) in steps {
            match what {
                0 => {
                    fake.endpoints.insert(id, (f64::from(weight), weight >> 29));
                    each!(picker => Picker::<Fake, u64>::inserted(picker, &fake, id));
                }
                1 => {
                    fake.endpoints.remove(&id);
                    fake.ready.retain(|&ready| ready != id);
                    each!(picker => Picker::<Fake, u64>::removed(picker, id));
                }
                2 => fake.ready.retain(|&ready| ready != id),
                _ if fake.endpoints.contains_key(&id) && !fake.ready.contains(&id) => fake.ready.push(id),
                _ => {}
            }
            each!(picker => {
                let index = picker.pick(&fake, Some(&u64::from(weight)), &mut cx);
                prop_assert_eq!(index.is_some(), !fake.ready.is_empty());
                prop_assert!(index.is_none_or(|index| index < fake.ready.len()));
            });
        }
    }
}

type Echo = Weighted<Constant<Mock, u32>>;
type Mock = mock::Mock<u64, u64>;

fn echo(load: u32, weight: u32) -> (Echo, mock::Handle<u64, u64>) {
    let (service, mut handle) = mock::pair();
    handle.allow(0);
    (Weighted::new(Constant::new(service, load), weight), handle)
}

#[tokio::test]
async fn a_balancer_with_consistent_hashing_follows_its_endpoints() {
    let (changes, discover) = channel(16);
    let mut balance = Balance::with_picker(discover, ring());
    for name in ["a", "b", "c"] {
        let endpoint = service_fn(move |_: u64| std::future::ready(Ok::<_, Infallible>(name)));
        changes
            .insert(name, Constant::new(endpoint, 0_u32))
            .await
            .unwrap();
    }
    let keys: Vec<u64> = (0..300_u64)
        .map(|key| xxh64(&key.to_le_bytes(), 1))
        .collect();
    let mut before = Vec::new();
    for &key in &keys {
        before.push(balance.ready().await.unwrap().call(key).await.unwrap());
    }
    changes.remove("b").await.unwrap();
    for (key, before) in keys.iter().zip(before) {
        let after = balance.ready().await.unwrap().call(*key).await.unwrap();
        assert_eq!(after == before, before != "b");
    }
}

/// tower#856 for pickers that use the request: they pick in `call`, so a pick cannot be stale.
#[tokio::test]
async fn a_pick_by_request_is_among_the_current_endpoints() {
    let (changes, discover) = channel::<_, Echo>(16);
    let mut balance = Spawn::new(Balance::with_picker(discover, ring()));
    let ((one, mut one_handle), (other, mut other_handle)) = (echo(0, 1), echo(0, 1));
    one_handle.allow(9);
    other_handle.allow(9);
    changes.insert("one", one).await.unwrap();
    changes.insert("other", other).await.unwrap();
    assert_ready_ok!(balance.poll_ready());
    changes.remove("one").await.unwrap();
    assert_ready_ok!(balance.poll_ready());
    for key in 0..5 {
        assert_ready_ok!(balance.poll_ready());
        drop(balance.call(key));
        assert!(other_handle.poll_request().is_ready());
    }
}

#[tokio::test]
async fn a_balancer_uses_weights_that_can_change() {
    let endpoints: Vec<_> = (0..3_u64)
        .map(|name| {
            let service = service_fn(move |_: u64| std::future::ready(Ok::<_, Infallible>(name)));
            Weighted::new(Constant::new(service, 0_u32), 1)
        })
        .collect();
    let third = endpoints[2].handle();
    let mut balance = Balance::with_picker(
        ServiceList::new::<u64>(endpoints),
        WeightedRoundRobin::new(),
    );
    for weight in [1, 4, 0] {
        third.set(weight);
        let mut counts = [0_u32; 3];
        for key in 0..600 {
            let service = balance.ready().await.unwrap();
            counts[service.call(key).await.unwrap() as usize] += 1;
        }
        let expected = 600_u32 * weight / (weight + 2);
        assert!(counts[2].abs_diff(expected) <= 6, "{counts:?} for {weight}");
    }
}

/// An endpoint that is never ready, and panics if it is called.
struct Stuck;

impl Load for Stuck {
    type Metric = f64;

    fn load(&self) -> f64 {
        0.0
    }
}

impl Service<u64> for Stuck {
    type Response = u64;
    type Error = Infallible;
    type Future = std::future::Ready<Result<u64, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Pending
    }

    fn call(&mut self, _: u64) -> Self::Future {
        panic!("it is not ready")
    }
}

#[tokio::test]
async fn without_ready_endpoints_the_balancer_is_pending_with_any_picker() {
    let stuck = futures::stream::iter([Ok::<_, Infallible>(Change::Insert("stuck", Stuck))]);
    let mut balance = Spawn::new(Balance::with_picker(stuck, LeastLoaded::new()));
    assert_pending!(balance.poll_ready());
    let empty = futures::stream::empty::<Result<Change<&str, Stuck>, Infallible>>();
    let mut balance = Spawn::new(Balance::with_picker(empty, ring()));
    let error = tokio_test::assert_ready_err!(balance.poll_ready());
    assert!(error.is::<tower_balance::error::NoEndpoints>());
}
