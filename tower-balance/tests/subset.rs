//! Which endpoints are in a subset, and what changes when endpoints are added and removed.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use futures::stream::{self, StreamExt};
use proptest::prelude::*;
use tower_balance::policy::Aperture;
use tower_balance::subset::Subset;
use tower_discover::{Change, Discover};
use tower_load::{Load, Weighted};

fn address(n: usize) -> String {
    format!("10.0.{}.{}:80", n / 256, n % 256)
}

type All = Result<Change<String, usize>, Infallible>;

fn insert(n: usize) -> All {
    Ok(Change::Insert(address(n), n))
}

/// A service with a load, for a balancer.
struct Idle;

impl Load for Idle {
    type Metric = u32;

    fn load(&self) -> u32 {
        0
    }
}

/// Returns the final subset, with weights, and the number of changes.
fn end<D>(subset: Subset<D>) -> (BTreeMap<String, u32>, usize)
where
    D: Discover<Key = String, Service = usize, Error = Infallible>,
{
    let changes: Vec<_> = futures::executor::block_on(subset.collect());
    let count = changes.len();
    let mut members: BTreeMap<String, Weighted<Idle>> = BTreeMap::new();
    for change in changes {
        match change.unwrap() {
            Change::Insert(key, target) => {
                assert_eq!(key, address(*target.get_ref()));
                members.insert(key, target.map(|_| Idle));
            }
            Change::Remove(key) => {
                assert!(members.remove(&key).is_some(), "only members are removed")
            }
        }
    }
    let weights = members
        .into_iter()
        .map(|(key, member)| (key, Load::relative_weight(&member)));
    (weights.collect(), count)
}

#[test]
fn a_few_of_many_targets_are_passed_on_at_once() {
    let (members, changes) = end(Subset::rendezvous(
        stream::iter((0..10_000).map(insert)),
        20,
        7,
    ));
    assert_eq!((members.len(), changes), (20, 20));
    let (others, _) = end(Subset::rendezvous(
        stream::iter((0..10_000).map(insert)),
        20,
        8,
    ));
    let common = members
        .keys()
        .filter(|key| others.contains_key(*key))
        .count();
    assert!(common <= 2, "clients with other seeds have other targets");
    let (few, _) = end(Subset::rendezvous(stream::iter((0..3).map(insert)), 20, 7));
    assert_eq!(few.len(), 3);
    let (none, _) = end(Subset::rendezvous(stream::iter((0..3).map(insert)), 0, 7));
    assert!(none.is_empty());
}

#[test]
fn the_targets_of_an_aperture_have_weights() {
    let aperture = Aperture::new(1, 4).unwrap();
    let (members, _) = end(Subset::aperture(
        stream::iter((0..18).map(insert)),
        aperture,
    ));
    assert_eq!(members.len(), 14);
    let halves = members.values().filter(|&&weight| weight == 500).count();
    assert_eq!(
        (
            halves,
            members.values().filter(|&&weight| weight == 1000).count()
        ),
        (1, 13)
    );
}

#[test]
fn all_clients_together_load_all_servers_equally() {
    for (clients, servers) in [(5, 18), (12, 24), (30, 100), (100, 7)] {
        let mut load: BTreeMap<String, f64> = BTreeMap::new();
        for client in 0..clients {
            let aperture = Aperture::new(client, clients).unwrap();
            let (members, _) = end(Subset::aperture(
                stream::iter((0..servers).map(insert)),
                aperture,
            ));
            let sum: u32 = members.values().sum();
            for (key, weight) in members {
                *load.entry(key).or_default() += f64::from(weight) / f64::from(sum);
            }
        }
        let fair = f64::from(clients) / servers as f64;
        assert_eq!(load.len(), servers);
        assert!(
            load.values().all(|load| (load / fair - 1.0).abs() < 0.1),
            "{clients}/{servers}: {load:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_load_band_widens_and_narrows_even_without_requests() {
    use std::time::Duration;

    use tokio::time::{Instant, sleep};
    use tower_balance::policy::LoadBand;
    use tower_load::pending_requests::Counter;
    use tower_load::{CompleteOnResponse, PendingRequests};
    use tower_service::Service;
    use tower_util::service_fn;

    let in_flight = Counter::default();
    let pending = service_fn(|()| std::future::pending::<Result<(), Infallible>>());
    let mut balancer =
        PendingRequests::with_counter(pending, CompleteOnResponse::default(), &in_flight);
    let all = stream::iter((0..100).map(insert)).chain(stream::pending());
    let band = LoadBand::new(Instant::now()).min_aperture(2);
    let mut subset = std::pin::pin!(Subset::load_band(all, band, in_flight.clone(), 7));
    let mut members = BTreeSet::new();
    // Polled only when the subset wakes the task.
    let mut follow = async |time: Duration, members: &mut BTreeSet<String>| {
        let mut end = std::pin::pin!(sleep(time));
        loop {
            tokio::select! {
                () = &mut end => return,
                change = subset.next() => match change.unwrap().unwrap() {
                    Change::Insert(key, _) => assert!(members.insert(key)),
                    Change::Remove(key) => assert!(members.remove(&key)),
                },
            }
        }
    };
    follow(Duration::from_secs(10), &mut members).await;
    assert_eq!(members.len(), 2);
    let few = members.clone();
    let requests: Vec<_> = (0..20).map(|_| balancer.call(())).collect();
    follow(Duration::from_secs(300), &mut members).await;
    assert!((17..=23).contains(&members.len()), "{}", members.len());
    assert!(members.is_superset(&few), "the former members are kept");
    drop(requests);
    follow(Duration::from_secs(300), &mut members).await;
    assert_eq!(members, few);
}

proptest! {
    #[test]
    fn a_subset_follows_discovery(
        steps in prop::collection::vec((0..30_usize, any::<bool>()), 0..120),
        size in 0..8_usize,
        seed: u64,
        by_aperture: bool,
    ) {
        let mut all = BTreeSet::new();
        let changes: Vec<All> = steps.iter().filter_map(|&(n, comes)| match comes {
            true => { all.insert(n); Some(insert(n)) }
            false => all.remove(&n).then(|| Ok(Change::Remove(address(n)))),
        }).collect();
        // One subset sees each change separately, the other sees only the end.
        let single = stream::iter(changes).flat_map(|change| stream::iter([change]));
        let whole = stream::iter(all.iter().map(|&n| insert(n)).collect::<Vec<_>>());
        let aperture = Aperture::new(2, 5).unwrap().min_servers(size as u32);
        let (followed, at_once) = match by_aperture {
            true => (end(Subset::aperture(single, aperture)).0, end(Subset::aperture(whole, aperture)).0),
            false => (end(Subset::rendezvous(single, size, seed)).0, end(Subset::rendezvous(whole, size, seed)).0),
        };
        prop_assert_eq!(followed, at_once);
    }
}
