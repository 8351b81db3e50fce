//! Counts the connections of subsets. No requests are simulated.

use std::collections::HashSet;

use crate::scenario::{Host, Subset};

/// The connections that a subset algorithm needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Connections {
    /// The name of the algorithm.
    pub name: String,
    /// The number of connections of all clients.
    pub total: usize,
    /// The number of connections of the server that has the fewest.
    pub least: usize,
    /// The number of connections of the server that has the most.
    pub most: usize,
    /// The fraction of all connections that are opened or closed when a client is added, not counting its own.
    pub client_churn: f64,
    /// The fraction that is opened or closed when a server is added.
    pub server_churn: f64,
}

/// Compares all servers, an aperture, and subsets of the same size by rendezvous hashing.
pub fn compare(clients: usize, servers: usize) -> Vec<Connections> {
    let aperture = Connections::of("aperture", Subset::Aperture, clients, servers);
    let size = aperture.total.div_ceil(clients);
    vec![
        Connections::of("all", Subset::All, clients, servers),
        aperture,
        Connections::of(
            &format!("{size} by rendezvous"),
            Subset::Rendezvous(size),
            clients,
            servers,
        ),
    ]
}

impl Connections {
    /// Counts the connections of `clients` clients to `servers` servers with `subset`.
    pub fn of(name: &str, subset: Subset, clients: usize, servers: usize) -> Self {
        if subset == Subset::All {
            // Not counted one by one: there may be a hundred million.
            return Self {
                name: name.into(),
                total: clients * servers,
                least: clients,
                most: clients,
                client_churn: 0.0,
                server_churn: 1.0 / servers as f64,
            };
        }
        let known = |clients, servers| subset.of_each(clients, &Host::alike(servers, 1.0));
        let now = known(clients, servers);
        let total = now.iter().map(Vec::len).sum();
        let mut of_server = vec![0; servers];
        now.iter()
            .flatten()
            .for_each(|(server, _)| of_server[*server] += 1);
        let churn = |then: &[Vec<(usize, u32)>]| {
            let changed: usize = now
                .iter()
                .zip(then)
                .map(|(now, then)| changes(now, then))
                .sum();
            changed as f64 / total as f64
        };
        Self {
            name: name.into(),
            total,
            least: of_server.iter().copied().min().unwrap_or(0),
            most: of_server.iter().copied().max().unwrap_or(0),
            client_churn: churn(&known(clients + 1, servers)),
            server_churn: churn(&known(clients, servers + 1)),
        }
    }
}

/// Returns the number of entries that are in only one of the two.
fn changes(now: &[(usize, u32)], then: &[(usize, u32)]) -> usize {
    let set = |known: &[(usize, u32)]| {
        known
            .iter()
            .map(|(server, _)| *server)
            .collect::<HashSet<_>>()
    };
    set(now).symmetric_difference(&set(then)).count()
}
