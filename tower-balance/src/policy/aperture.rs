use super::InvalidPolicy;

/// The deterministic aperture of Finagle: each client connects to a subset of the servers, and all servers receive the
/// same load from all clients together.
///
/// The ring is divided among the servers in proportion to their weights, and also into one equal interval per client.
/// The aperture of a client starts at its own interval and is a whole number of intervals wide, so each point of the
/// ring is in the same number of apertures. A server that is partly in the aperture counts with that part of its
/// weight. Draw two servers by these weights ([`Alias`](super::Alias)), and send the request to the one with the lower
/// load relative to its weight.
///
/// Each client must know its number and the number of clients, and all must have the servers in the same order: sort
/// them, and shuffle them with a seed that all clients share.
///
/// # Example
///
/// ```
/// use tower_balance::policy::Aperture;
///
/// // The second of four clients, with 18 servers.
/// let subset = Aperture::new(1, 4)?.equal(18);
/// assert_eq!(subset.len(), 14);
/// assert_eq!(subset[..2], [(4, 0.5), (5, 1.0)]);
/// # Ok::<(), tower_balance::policy::InvalidPolicy>(())
/// ```
///
/// # Implementation notes
///
/// Computed in integers, so that shares are exact. With equal weights the ring is that of Finagle's
/// `DeterministicAperture`, with unequal weights that of its `WeightedAperture`.
#[derive(Debug, Clone, Copy)]
pub struct Aperture {
    client: u32,
    clients: u32,
    min: u32,
}

impl Aperture {
    /// Creates the aperture of client number `client`, starting at 0, of `clients`. Larger numbers wrap around.
    ///
    /// # Errors
    ///
    /// If `clients` is 0.
    pub fn new(client: u32, clients: u32) -> Result<Self, InvalidPolicy> {
        InvalidPolicy::ensure(clients > 0, "an aperture needs at least one client")?;
        Ok(Self {
            client: client % clients,
            clients,
            min: DEFAULT_MIN,
        })
    }

    /// Sets the minimum number of servers, if there are that many; 0 counts as 1. By default 12. With fewer, the two
    /// servers at the edges, which are partly covered, receive noticeably more than their share with two choices.
    pub fn min_servers(self, min: u32) -> Self {
        Self {
            min: min.max(1),
            ..self
        }
    }

    /// Returns the servers in the aperture, out of `servers` with equal weights, in order, each with its covered part.
    pub fn equal(&self, servers: u32) -> Vec<(usize, f64)> {
        self.cover(std::iter::repeat_n(1, servers as usize))
    }

    /// Returns the servers in the aperture, out of those with these weights, in order, each with the covered part of
    /// its weight.
    ///
    /// A server of weight 0 is not used; if all weights are 0 they are treated as equal.
    pub fn weighted(&self, weights: &[u32]) -> Vec<(usize, f64)> {
        if weights.iter().all(|weight| *weight == 0) {
            return self.cover(weights.iter().map(|_| 1));
        }
        self.cover(weights.iter().copied())
    }

    fn cover(&self, weights: impl Iterator<Item = u32> + Clone) -> Vec<(usize, f64)> {
        let clients = u128::from(self.clients);
        let servers = weights.clone().filter(|weight| *weight > 0).count() as u128;
        if servers == 0 {
            return Vec::new();
        }
        // The number of clients' intervals that cover at least the wanted number of servers.
        let wanted = servers.min(u128::from(self.min));
        let intervals = (wanted * clients).div_ceil(servers);
        // On the ring, a unit of weight is as long as the number of clients, so a client's interval is as long as the
        // sum of the weights.
        let sum: u128 = weights.clone().map(u128::from).sum();
        let ring = sum * clients;
        let from = u128::from(self.client) * sum;
        let to = from + intervals * sum;

        let mut end = 0;
        let covered = weights.enumerate().map(|(server, weight)| {
            let start = end;
            end += u128::from(weight) * clients;
            // Each server is on the ring twice, so that apertures may wrap around.
            let part = overlap(start, end, from, to) + overlap(start + ring, end + ring, from, to);
            (server, part as f64 / clients as f64)
        });
        covered.filter(|(_, part)| *part > 0.0).collect()
    }
}

fn overlap(start: u128, end: u128, from: u128, to: u128) -> u128 {
    end.min(to).saturating_sub(start.max(from))
}

const DEFAULT_MIN: u32 = 12;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn aperture(client: u32, clients: u32) -> Aperture {
        Aperture::new(client, clients).unwrap()
    }

    fn whole(servers: impl IntoIterator<Item = usize>) -> Vec<(usize, f64)> {
        servers.into_iter().map(|server| (server, 1.0)).collect()
    }

    /// The cases of Finagle's `DeterministicApertureTest` and `RingTest`.
    #[test]
    fn equal_servers_are_covered_as_in_finagle() {
        assert_eq!(aperture(0, 12).equal(24), whole(0..12));
        assert_eq!(aperture(0, 1).equal(3), whole(0..3));
        assert_eq!(aperture(0, 150).equal(150), whole(0..12));
        let mut expected = whole(4..18);
        expected[0].1 = 0.5;
        assert_eq!(aperture(1, 4).equal(18), expected);
        let mut expected = whole((0..9).chain(13..18));
        expected[9].1 = 0.5;
        assert_eq!(aperture(3, 4).equal(18), expected);
    }

    /// The random weights of Finagle's `WeightedApertureTest`, times 10¹⁰.
    #[test]
    fn weighted_servers_are_covered_as_in_finagle() {
        let weights = [
            986_300_904,
            387_183_898,
            350_937_027,
            871_244_774,
            313_367_553,
            662_816_243,
            128_783_784,
            176_849_436,
            489_108_123,
            1_348_228_254,
            980_621_374,
            2_722_659,
            723_095_959,
            1_418_858_772,
            1_159_881_239,
        ];
        let used = |client| -> Vec<_> {
            let subset = aperture(client, 5).weighted(&weights);
            let covered: f64 = subset.iter().map(|(_, part)| part).sum();
            assert!((covered / 1e10 - 0.8).abs() < 1e-6, "{covered}");
            subset.into_iter().map(|(server, _)| server).collect()
        };
        assert_eq!(used(1), (3..15).collect::<Vec<_>>());
        assert_eq!(used(0), (0..14).collect::<Vec<_>>());
    }

    #[test]
    fn servers_have_nearly_the_same_number_of_clients() {
        for (clients, servers, expected) in [
            (5, 18, 4..=5),
            (12, 24, 6..=6),
            (100, 30, 43..=43),
            (7, 100, 1..=2),
            (300, 300, 12..=12),
        ] {
            let mut connections = vec![0; servers as usize];
            for client in 0..clients {
                aperture(client, clients)
                    .equal(servers)
                    .iter()
                    .for_each(|(i, _)| connections[*i] += 1);
            }
            let (min, max) = (
                connections.iter().min().unwrap(),
                connections.iter().max().unwrap(),
            );
            assert_eq!(
                (*min, *max),
                (*expected.start(), *expected.end()),
                "{clients} and {servers}"
            );
        }
    }

    #[test]
    fn edge_cases_are_defined() {
        assert!(Aperture::new(0, 0).is_err());
        assert_eq!(aperture(7, 4).equal(18), aperture(3, 4).equal(18));
        assert_eq!(aperture(1, 4).equal(0), []);
        assert_eq!(aperture(1, 4).weighted(&[]), []);
        assert_eq!(aperture(1, 4).weighted(&[0, 0]), whole(0..2));
        assert_eq!(
            aperture(0, 4).weighted(&[0, u32::MAX]),
            [(1, f64::from(u32::MAX))]
        );
        assert_eq!(aperture(0, 40).min_servers(0).equal(40), whole(0..1));
        assert_eq!(
            aperture(u32::MAX - 1, u32::MAX)
                .weighted(&[u32::MAX; 13])
                .len(),
            13
        );
    }

    proptest! {
        #[test]
        fn the_load_of_all_servers_is_in_proportion_to_their_weight(
            clients in 1_u32..200, weights in prop::collection::vec(0_u32..1000, 1..200), min in 0_u32..40,
        ) {
            let mut loads = vec![0.0; weights.len()];
            for client in 0..clients {
                let subset = aperture(client, clients).min_servers(min).weighted(&weights);
                let total: f64 = subset.iter().map(|(_, part)| part).sum();
                // Each client sends the same load.
                subset.iter().for_each(|(server, part)| loads[*server] += part / total);
            }
            let sum: u32 = weights.iter().sum();
            prop_assume!(sum > 0);
            for (load, weight) in loads.iter().zip(&weights) {
                let due = f64::from(clients) * f64::from(*weight) / f64::from(sum);
                prop_assert!((load - due).abs() <= 1e-9 * f64::from(clients), "{load} instead of {due}");
            }
        }

        #[test]
        fn at_least_the_wanted_number_of_servers_is_covered(clients in 1_u32..200, servers in 1_u32..200, client: u32) {
            let subset = aperture(client, clients).equal(servers);
            let covered: f64 = subset.iter().map(|(_, part)| part).sum();
            prop_assert!(covered >= f64::from(servers.min(12)) - 1e-9);
            // The excess is at most the interval of one client.
            let most = f64::from(servers.min(12)) + f64::from(servers) / f64::from(clients);
            prop_assert!(covered <= most.min(f64::from(servers)) + 1e-9);
        }
    }
}
