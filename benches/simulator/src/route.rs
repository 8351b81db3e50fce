//! The choice of a zone for each request, before a picker chooses a server within the zone.

use tower_balance::policy::priority::{Health, Overflow};
use tower_balance::policy::{Alias, Zones};
use tower_util::rng::SplitMix;

/// How zones are chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Route {
    /// No zones: one balancer over all servers.
    Flat,
    /// The client's own zone first, and the others for the load that it lacks capacity for: `tower_balance::policy::priority`.
    Priorities,
    /// The client's own zone, as far as its fraction of the servers matches its fraction of the clients:
    /// `tower_balance::policy::Zones`.
    ZoneAware,
}

/// The distribution over zones that follows from the ready servers. Replaced when these change.
pub(crate) enum Plan {
    Single,
    Shares(Alias),
    Zones(Zones),
}

impl Plan {
    /// Creates the distribution for a client in `zone`. `clients`, `hosts` and `ready` are the numbers of clients, servers and ready
    /// servers in each zone.
    pub(crate) fn new(
        route: Route,
        zone: usize,
        clients: &[u32],
        hosts: &[u32],
        ready: &[u32],
    ) -> Self {
        let by_ready = || ready.iter().map(|&ready| f64::from(ready)).collect();
        let shares: Vec<f64> = match route {
            Route::Flat => return Self::Single,
            Route::Priorities => priorities(zone, hosts, ready),
            Route::ZoneAware => match Zones::new(clients, ready, zone) {
                Some(zones) => return Self::Zones(zones),
                None => by_ready(),
            },
        };
        // `None` if no server is ready: then it does not matter which zone is chosen.
        Alias::new(shares).map_or(Self::Single, Self::Shares)
    }

    pub(crate) fn zone(&self, rng: &mut SplitMix) -> usize {
        match self {
            Self::Single => 0,
            Self::Shares(alias) => alias.draw(rng).unwrap_or(0),
            Self::Zones(zones) => zones.pick(rng),
        }
    }
}

/// The client's own zone is the first level, and all others together are the second.
fn priorities(zone: usize, hosts: &[u32], ready: &[u32]) -> Vec<f64> {
    let sum = |counts: &[u32]| counts.iter().sum::<u32>() - counts[zone];
    let health = |healthy: u32, hosts: u32| Health {
        healthy: healthy as usize,
        hosts: hosts as usize,
    };
    let levels = [
        health(ready[zone], hosts[zone]),
        health(sum(ready), sum(hosts)),
    ];
    let loads = Overflow::default().loads(&levels);
    let [own, others] = [0, 1].map(|level: usize| f64::from(loads[level].percent));
    let others = others / f64::from(sum(ready).max(1));
    let share = |(other, ready): (usize, &u32)| match other == zone {
        true => own,
        false => others * f64::from(*ready),
    };
    ready.iter().enumerate().map(share).collect()
}
