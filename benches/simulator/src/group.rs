//! A balancer of a client: a picker, its endpoints, and their measured loads.

use std::time::Duration;

use tokio::time::Instant;
use tower_balance::picker::{self, Endpoints, Named, PickContext, Picker as _, Probes};
use tower_balance::policy::InvalidPolicy;
use tower_util::rng::{Rng, SplitMix};

use crate::contestant::{Contestant, Picker};
use crate::event::Nanos;
use crate::load::{Load, Measure};
use crate::server::Completion;

/// The prefix of the servers' names.
const SERVER: &str = "server-";

/// A balancer over a set of servers.
pub(crate) struct Group {
    picker: Picker,
    pub(crate) probes: Option<Probes>,
    pub(crate) members: Members,
}

/// The endpoints of a balancer.
pub(crate) struct Members {
    base: Instant,
    measure: Measure,
    /// The default estimate of latency, until there is a sample.
    first: Nanos,
    /// The endpoints, in ascending order of their servers. An endpoint's index is its id.
    endpoints: Vec<Endpoint>,
    /// The ids of the endpoints that are ready.
    ready: Vec<usize>,
    /// Incremented with each change of `ready`.
    generation: u64,
}

struct Endpoint {
    server: usize,
    weight: u32,
    load: Load,
    /// How often it was added. Requests that were sent before the last time do not count.
    epoch: u32,
    ready: Option<usize>,
}

/// The endpoints as a picker sees them.
pub(crate) struct View<'a> {
    members: &'a Members,
    now: Nanos,
}

/// The endpoint to which a request was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) server: usize,
    pub(crate) id: usize,
    pub(crate) epoch: u32,
}

impl Group {
    /// Creates a balancer over `servers`, each with its weight, in ascending order. All of them are ready.
    pub(crate) fn new(
        contestant: Contestant,
        servers: &[(usize, u32)],
        first: Nanos,
        rng: &mut SplitMix,
        base: Instant,
    ) -> Result<Self, InvalidPolicy> {
        let measure = contestant.measure();
        let endpoint = |&(server, weight)| Endpoint {
            server,
            weight,
            load: Load::new(measure, first, 0, base),
            epoch: 0,
            ready: None,
        };
        let (picker, probes) = contestant.picker(SplitMix::with_seed(rng.next_u64()))?;
        let mut group = Self {
            picker,
            probes,
            members: Members {
                base,
                measure,
                first,
                endpoints: servers.iter().map(endpoint).collect(),
                ready: Vec::new(),
                generation: 0,
            },
        };
        for (server, _) in servers {
            group.join(*server, 0);
        }
        Ok(group)
    }

    pub(crate) fn pick(&mut self, key: u64, rng: &mut SplitMix, now: Nanos) -> Option<Target> {
        let members = &self.members;
        let mut cx = Cx {
            rng,
            now: members.instant(now),
        };
        let view = View { members, now };
        let index = self.picker.pick(&view, Some(&key), &mut cx)?;
        let id = *members.ready.get(index)?;
        let Endpoint { server, epoch, .. } = members.endpoints[id];
        self.members.endpoints[id].load.begin(now);
        Some(Target { server, id, epoch })
    }

    /// Returns a server to probe, and the ticket for its result.
    pub(crate) fn next_probe(&self) -> Option<(usize, usize)> {
        let (ticket, name) = self.probes.as_ref()?.next_due()?;
        let server = name.strip_prefix(SERVER)?.parse().ok()?;
        Some((ticket, server))
    }

    /// Records the end of a request that was sent to `target`.
    pub(crate) fn end(&mut self, target: Target, began: Nanos, completion: Completion, now: Nanos) {
        let instant = self.members.instant(now);
        let endpoint = &mut self.members.endpoints[target.id];
        if endpoint.epoch == target.epoch {
            endpoint.load.end(began, completion, now, instant);
        }
    }

    /// Adds a server, which is ready and has no measured load. Returns whether it was missing before.
    pub(crate) fn join(&mut self, server: usize, now: Nanos) -> bool {
        let Some(id) = self.members.number_of(server) else {
            return false;
        };
        let instant = self.members.instant(now);
        let Members { measure, first, .. } = self.members;
        let endpoint = &mut self.members.endpoints[id];
        if endpoint.ready.is_some() {
            return false;
        }
        endpoint.ready = Some(self.members.ready.len());
        endpoint.epoch += 1;
        endpoint.load = Load::new(measure, first, now, instant);
        self.members.ready.push(id);
        self.members.generation += 1;
        let members = &self.members;
        picker::Picker::<View<'_>, u64>::inserted(&mut self.picker, &View { members, now }, id);
        true
    }

    /// Removes a server.
    pub(crate) fn leave(&mut self, server: usize) {
        let Some(id) = self.members.number_of(server) else {
            return;
        };
        let Some(index) = self.members.endpoints[id].ready.take() else {
            return;
        };
        self.members.ready.swap_remove(index);
        self.members.generation += 1;
        if let Some(&moved) = self.members.ready.get(index) {
            self.members.endpoints[moved].ready = Some(index);
        }
        picker::Picker::<View<'_>, u64>::removed(&mut self.picker, id);
    }

    pub(crate) fn set_weight(&mut self, server: usize, weight: u32) {
        if let Some(id) = self.members.number_of(server) {
            self.members.endpoints[id].weight = weight;
        }
    }
}

impl Members {
    pub(crate) fn ready(&self) -> usize {
        self.ready.len()
    }

    pub(crate) fn servers(&self) -> impl Iterator<Item = usize> {
        self.endpoints.iter().map(|endpoint| endpoint.server)
    }

    pub(crate) fn instant(&self, now: Nanos) -> Instant {
        self.base + Duration::from_nanos(now)
    }

    fn number_of(&self, server: usize) -> Option<usize> {
        let by_server = |endpoint: &Endpoint| endpoint.server;
        self.endpoints.binary_search_by_key(&server, by_server).ok()
    }
}

impl Endpoints for View<'_> {
    type Load = f64;

    fn ready_len(&self) -> usize {
        self.members.ready.len()
    }

    fn generation(&self) -> u64 {
        self.members.generation
    }

    fn load(&self, index: usize) -> f64 {
        let endpoint = &self.members.endpoints[self.members.ready[index]];
        endpoint.load.get(self.now, self.members.instant(self.now))
    }

    fn weight(&self, index: usize) -> u32 {
        self.members.endpoints[self.members.ready[index]].weight
    }

    fn weight_of(&self, id: usize) -> Option<u32> {
        let endpoint = self.members.endpoints.get(id)?;
        endpoint.ready.map(|_| endpoint.weight)
    }

    fn id(&self, index: usize) -> usize {
        self.members.ready[index]
    }

    fn index_of(&self, id: usize) -> Option<usize> {
        self.members.endpoints.get(id)?.ready
    }
}

impl Named for View<'_> {
    fn name(&self, id: usize) -> Option<(String, u32)> {
        let Endpoint { server, weight, .. } = self.members.endpoints.get(id)?;
        Some((format!("{SERVER}{server}"), *weight))
    }
}

struct Cx<'a> {
    rng: &'a mut SplitMix,
    now: Instant,
}

impl Rng for Cx<'_> {
    fn next_u64(&mut self) -> u64 {
        self.rng.next_u64()
    }
}

impl PickContext for Cx<'_> {
    fn now(&mut self) -> Instant {
        self.now
    }
}
