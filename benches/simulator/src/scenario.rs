//! The description of a scenario: clients, servers, requests, changes over time, and the pickers to compare.

use tower_balance::policy::Aperture;

use crate::contestant::Contestant;
use crate::draw::Work;
use crate::event::Nanos;
use crate::rendezvous;
use crate::route::Route;
use crate::server::Behavior;

/// A scenario, and the pickers that are compared in it.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The name on the command line, and of the plot's file.
    pub name: &'static str,
    /// The title of the table and the plot.
    pub title: &'static str,
    /// A description, printed above the table.
    pub about: &'static str,
    /// The number of clients, which are assigned to the zones in turn.
    pub clients: usize,
    /// The servers.
    pub servers: Vec<Host>,
    /// The number of requests per second, of all clients together.
    pub rate: f64,
    /// The work of each request.
    pub work: Work,
    /// For how long requests arrive.
    pub duration: Nanos,
    /// Requests that arrive before this time do not count.
    pub warm_up: Nanos,
    /// A request that takes longer counts as an error. It is not cancelled.
    pub deadline: Nanos,
    /// The default estimate of peak EWMA for a server without a sample.
    pub first: Nanos,
    /// The changes of the servers, and their times.
    pub changes: Vec<(Nanos, Change)>,
    /// Whether servers report their usage once a second, for the weights of weighted round robin.
    pub reports: bool,
    /// The faulty server, and the start and end of the fault. `None` if the server with the most requests is reported instead.
    pub bad: Option<(usize, Nanos, Nanos)>,
    /// The pickers to compare.
    pub rows: Vec<Row>,
}

/// The initial state of a server.
#[derive(Clone, Copy, Debug)]
pub struct Host {
    /// The number of cores, and so of requests that it can process at full speed.
    pub cores: f64,
    /// The weight, for pickers that use weights.
    pub weight: u32,
    /// The zone.
    pub zone: usize,
}

/// A change of a server, which is given by its index.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    /// Sets the number of cores and their speed, where 1.0 is the usual one.
    Capacity(usize, f64, f64),
    /// Sets how the server handles requests.
    Behavior(usize, Behavior),
    /// All in-flight requests of the server fail.
    Crash(usize),
    /// The server starts as a new process that works.
    Restart(usize),
    /// The clients learn that the server was removed.
    Leave(usize),
    /// The clients learn that the server was added again.
    Join(usize),
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The picker.
    pub contestant: Contestant,
    /// The servers that each client knows.
    pub subset: Subset,
    /// How clients choose among the zones.
    pub route: Route,
}

/// The servers that a client knows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Subset {
    /// All servers.
    All,
    /// A deterministic aperture.
    Aperture,
    /// This number of servers by rendezvous hashing, with a seed for each client.
    Rendezvous(usize),
}

impl Row {
    /// Creates a row for a picker over all servers.
    pub fn of(contestant: Contestant) -> Self {
        Self {
            contestant,
            subset: Subset::All,
            route: Route::Flat,
        }
    }

    /// Returns the text of the first column.
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
    /// Returns `count` equal servers.
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
    /// Returns the servers that each client knows, with the weights that they have for that client.
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
    // An aperture is valid whenever there are clients.
    let covered = Aperture::new(client, clients)
        .map_or_else(|_| Vec::new(), |aperture| aperture.equal(servers));
    let weight = |part: f64| (part * WHOLE).round().max(1.0) as u32;
    covered
        .into_iter()
        .map(|(server, part)| (server, weight(part)))
        .collect()
}

/// The weight of a server that an aperture covers completely.
const WHOLE: f64 = 1000.0;
