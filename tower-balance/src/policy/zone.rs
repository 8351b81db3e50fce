use tower_util::rng::Rng;

use super::Alias;

/// Zone-aware routing: keeps requests in the client's zone, as far as its endpoints have the capacity.
///
/// If the zone's share of the endpoints is at least its share of the clients, all requests stay in the zone. Otherwise
/// the zone keeps the requests that its endpoints have the capacity for, and the others go to zones with a larger share
/// of endpoints than of clients, in proportion to the difference. So every endpoint has the same load if every client
/// sends the same load.
///
/// # Example
///
/// ```
/// use tower_balance::policy::Zones;
///
/// // The client's own zone, 0, has two thirds of the clients and half of the endpoints.
/// let zones = Zones::new(&[20, 10], &[5, 5], 0).unwrap();
/// assert_eq!(zones.local(), 0.75);
/// ```
///
/// # Implementation notes
///
/// As in Envoy, computed exactly. In panic mode, the number of healthy endpoints of a zone is meaningless, so zones must
/// not be used; the caller is responsible for this: see [`priority`](super::priority).
#[derive(Debug, Clone)]
pub struct Zones {
    zone: usize,
    local: f64,
    others: Alias,
}

impl Zones {
    /// Creates the routing for a client in `zone`. `clients` and `hosts` are the numbers of clients and of healthy
    /// endpoints in each zone.
    ///
    /// Returns `None` if requests should be spread regardless of zones: if there are fewer than six endpoints (see
    /// [`with_min_hosts`](Self::with_min_hosts)), if all are in one zone, if there are none in the client's own, or if
    /// the clients are not known.
    pub fn new(clients: &[u32], hosts: &[u32], zone: usize) -> Option<Self> {
        Self::with_min_hosts(clients, hosts, zone, 6)
    }

    /// Like [`new`](Self::new), with this minimum number of endpoints.
    pub fn with_min_hosts(clients: &[u32], hosts: &[u32], zone: usize, min: u64) -> Option<Self> {
        let sum = |counts: &[u32]| counts.iter().map(|count| u64::from(*count)).sum::<u64>();
        let (all_clients, all_hosts) = (sum(clients), sum(hosts));
        let count = |counts: &[u32], zone| u128::from(counts.get(zone).copied().unwrap_or(0));
        // The shares of all zones, with a common denominator.
        let clients = |zone| count(clients, zone) * u128::from(all_hosts);
        let capacity = |zone| count(hosts, zone) * u128::from(all_clients);
        let populated = hosts.iter().filter(|count| **count > 0).count();
        if all_hosts < min || populated < 2 || clients(zone) == 0 || capacity(zone) == 0 {
            return None;
        }
        let residual = |other| capacity(other).saturating_sub(clients(other)) as f64;
        let others =
            (0..hosts.len()).map(|other| if other == zone { 0.0 } else { residual(other) });
        Some(Self {
            zone,
            local: (capacity(zone) as f64 / clients(zone) as f64).min(1.0),
            // Finite and not negative.
            others: Alias::new(others).ok()?,
        })
    }

    /// Picks the zone of a request.
    pub fn pick<R: Rng + ?Sized>(&self, rng: &mut R) -> usize {
        if rng.next_f64() < self.local {
            return self.zone;
        }
        self.others.draw(rng).unwrap_or(self.zone)
    }

    /// Returns the share of the requests that stay in the zone, from 0.0 to 1.0.
    pub fn local(&self) -> f64 {
        self.local
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tower_util::rng::SplitMix;

    use super::*;

    #[test]
    fn all_requests_stay_if_the_zone_has_the_capacity() {
        let zones = Zones::new(&[1, 1, 1], &[2, 2, 2], 1).unwrap();
        let mut rng = SplitMix::with_seed(1);
        assert!((0..1000).all(|_| zones.pick(&mut rng) == 1));
    }

    #[test]
    fn other_requests_go_to_zones_with_spare_capacity() {
        // The client's zone has 60 % of the clients and 20 % of the endpoints; the others 20/50, 20/20 and 0/10.
        let zones = Zones::new(&[6, 2, 2, 0], &[4, 10, 4, 2], 0).unwrap();
        let mut rng = SplitMix::with_seed(1);
        let mut counts = [0.0_f64; 4];
        (0..100_000).for_each(|_| counts[zones.pick(&mut rng)] += 1e-5);
        for (count, expected) in counts.iter().zip([1.0 / 3.0, 0.5, 0.0, 1.0 / 6.0]) {
            assert!((count - expected).abs() < 0.01, "{counts:?}");
        }
    }

    #[test]
    fn zones_are_ignored_where_they_do_not_help() {
        for (clients, hosts, zone) in [
            (&[1, 1][..], &[3, 2][..], 0),
            (&[1, 1], &[9, 0], 0),
            (&[1, 1], &[0, 9, 9], 0),
            (&[0, 1], &[9, 9], 0),
            (&[], &[9, 9], 0),
            (&[1, 1], &[], 0),
            (&[1, 1], &[9, 9], 2),
        ] {
            assert!(
                Zones::new(clients, hosts, zone).is_none(),
                "{clients:?} {hosts:?} {zone}"
            );
        }
        assert!(Zones::with_min_hosts(&[1, 1], &[1, 1], 0, 2).is_some());
    }

    proptest! {
        /// With clients in every zone that has endpoints, and vice versa.
        #[test]
        fn all_endpoints_have_the_same_load(counts in prop::collection::vec((1_u32..50, 3_u32..50), 2..6)) {
            let (clients, hosts): (Vec<_>, Vec<_>) = counts.iter().copied().unzip();
            let mut loads = vec![0.0; hosts.len()];
            let mut rng = SplitMix::with_seed(7);
            for (zone, count) in clients.iter().enumerate() {
                let zones = Zones::new(&clients, &hosts, zone).unwrap();
                for _ in 0..2000 {
                    loads[zones.pick(&mut rng)] += f64::from(*count) / 2000.0;
                }
            }
            let (all_clients, all_hosts) = (clients.iter().sum::<u32>(), hosts.iter().sum::<u32>());
            for (load, hosts) in loads.iter().zip(&hosts) {
                let due = f64::from(*hosts) / f64::from(all_hosts);
                prop_assert!((load / f64::from(all_clients) - due).abs() < 0.05);
            }
        }
    }
}
