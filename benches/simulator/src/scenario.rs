//! What a scenario is: who is there, what is asked of them, and what happens.

use tower_balance::policy::Aperture;

use crate::contestant::Contestant;
use crate::draw::Work;
use crate::event::Nanos;
use crate::rendezvous;
use crate::route::Route;
use crate::server::Conduct;

/// A scenario, and who competes in it.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// On the command line, and of its plot.
    pub name: &'static str,
    /// Of its table.
    pub title: &'static str,
    /// What happens.
    pub about: &'static str,
    /// How many clients there are; they belong to the zones in turn.
    pub clients: usize,
    /// The servers.
    pub servers: Vec<Host>,
    /// Requests per second, of all clients together.
    pub rate: f64,
    /// How much work each request is.
    pub work: Work,
    /// How long requests arrive.
    pub duration: Nanos,
    /// What begins before does not count.
    pub warm_up: Nanos,
    /// What takes longer counts as an error. Nobody gives up because of it.
    pub deadline: Nanos,
    /// What peak EWMA takes for the latency of a server until there is one.
    pub first: Nanos,
    /// What happens to the servers.
    pub changes: Vec<(Nanos, Change)>,
    /// Whether servers report their usage once a second, for the weights of weighted round robin.
    pub reports: bool,
    /// The server that something is wrong with, from when until when. Otherwise the one with the most requests is the worst.
    pub bad: Option<(usize, Nanos, Nanos)>,
    /// Who competes.
    pub rows: Vec<Row>,
}

/// A server, as it begins.
#[derive(Clone, Copy, Debug)]
pub struct Host {
    /// How many requests it can work on at full speed.
    pub cores: f64,
    /// Its weight, where pickers go by it.
    pub weight: u32,
    /// Its zone.
    pub zone: usize,
}

/// What happens to a server.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    /// It has so many cores of this speed.
    Strength(usize, f64, f64),
    /// It does this with requests.
    Conduct(usize, Conduct),
    /// All its requests fail.
    Crash(usize),
    /// It is a new process, which works.
    Restart(usize),
    /// The clients are told that it is gone.
    Leave(usize),
    /// The clients are told that it is there again.
    Join(usize),
}

/// A line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Who.
    pub contestant: Contestant,
    /// Which servers a client knows.
    pub subset: Subset,
    /// How it chooses among the zones.
    pub route: Route,
}

/// Which servers a client knows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Subset {
    /// All.
    All,
    /// A deterministic aperture.
    Aperture,
    /// So many by rendezvous hashing, with a seed of the client's own.
    Rendezvous(usize),
}

impl Row {
    /// Over all servers.
    pub fn of(contestant: Contestant) -> Self {
        Self {
            contestant,
            subset: Subset::All,
            route: Route::Flat,
        }
    }

    /// What is in the first column.
    pub fn label(&self) -> String {
        let name = self.contestant.name();
        match (self.subset, self.route) {
            (Subset::Aperture, _) => format!("aperture; {name}"),
            (Subset::Rendezvous(size), _) => format!("{size} by rendezvous; {name}"),
            (_, Route::Priorities) => format!("own zone first; {name}"),
            (_, Route::ZoneAware) => format!("zone-aware; {name}"),
            _ => name,
        }
    }
}

impl Host {
    /// Many alike.
    pub fn alike(count: usize, cores: f64) -> Vec<Self> {
        let host = Self {
            cores,
            weight: 1,
            zone: 0,
        };
        vec![host; count]
    }
}

impl Subset {
    /// The servers that each client knows, with their weights for it.
    pub fn of_each(self, clients: usize, hosts: &[Host]) -> Vec<Vec<(usize, u32)>> {
        let all = || hosts.iter().map(|host| host.weight).enumerate().collect();
        match self {
            Self::All => (0..clients).map(|_| all()).collect(),
            Self::Aperture => (0..clients as u32)
                .map(|client| aperture(client, clients as u32, hosts.len() as u32))
                .collect(),
            Self::Rendezvous(size) => {
                let names: Vec<_> = (0..hosts.len()).map(|i| format!("server-{i}")).collect();
                let subset = |client: usize| {
                    let mut subset = rendezvous::subset(client as u64, &names, size);
                    subset.sort_unstable();
                    subset.into_iter().map(|i| (i, hosts[i].weight)).collect()
                };
                (0..clients).map(subset).collect()
            }
        }
    }
}

fn aperture(client: u32, clients: u32, servers: u32) -> Vec<(usize, u32)> {
    // There is no aperture without clients.
    let covered = Aperture::new(client, clients)
        .map_or_else(|_| Vec::new(), |aperture| aperture.equal(servers));
    let weight = |part: f64| (part * WHOLE).round().max(1.0) as u32;
    covered
        .into_iter()
        .map(|(server, part)| (server, weight(part)))
        .collect()
}

/// The weight of a server that is covered wholly.
const WHOLE: f64 = 1000.0;
