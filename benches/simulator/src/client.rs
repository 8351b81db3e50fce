//! A client: its balancers, and the choice among them for each request.

use tokio::time::Instant;
use tower_balance::policy::InvalidPolicy;
use tower_util::rng::SplitMix;

use crate::draw::fork;
use crate::group::Group;
use crate::route::{Plan, Route};
use crate::scenario::{Row, Scenario};

/// A client with one or more balancers.
pub(crate) struct Client {
    /// One balancer for each zone, or one for all servers.
    pub(crate) groups: Vec<Group>,
    pub(crate) plan: Plan,
    pub(crate) zone: usize,
    pub(crate) rng: SplitMix,
}

impl Client {
    pub(crate) fn new(
        scenario: &Scenario,
        row: &Row,
        number: usize,
        known: &[(usize, u32)],
        seed: u64,
        base: Instant,
    ) -> Result<Self, InvalidPolicy> {
        let mut rng = fork(seed, number as u64 + 1);
        let zones = scenario.zones();
        let in_zone = |zone: usize| -> Vec<_> {
            let is_here = |(server, _): &(usize, u32)| scenario.servers[*server].zone == zone;
            known.iter().copied().filter(is_here).collect()
        };
        let parts = match row.route {
            Route::Flat => vec![known.to_vec()],
            _ => (0..zones).map(in_zone).collect(),
        };
        let groups: Result<_, _> = (parts.iter())
            .map(|part| Group::new(row.contestant, part, scenario.first, &mut rng, base))
            .collect();
        Ok(Self {
            groups: groups?,
            plan: Plan::Single,
            zone: number % zones,
            rng,
        })
    }

    /// Recomputes how requests are distributed over the zones.
    pub(crate) fn plan(&mut self, scenario: &Scenario, row: &Row) {
        if row.route == Route::Flat {
            return;
        }
        let ready: Vec<_> = self
            .groups
            .iter()
            .map(|group| group.members.ready() as u32)
            .collect();
        let hosts: Vec<_> = self
            .groups
            .iter()
            .map(|group| group.members.servers().count() as u32)
            .collect();
        let zones = scenario.zones();
        let clients: Vec<_> = (0..zones)
            .map(|zone| (zone..scenario.clients).step_by(zones).count() as u32)
            .collect();
        self.plan = Plan::new(row.route, self.zone, &clients, &hosts, &ready);
    }
}
