//! Priority levels: if a level does not have enough healthy endpoints, the next level receives part of its requests. If
//! too few endpoints are healthy, panic mode ignores health.
//!
//! ```
//! use tower_balance::policy::priority::{Health, Overflow};
//!
//! // Half of the endpoints of the first level are healthy: with a factor of 140 %, they take 70 % of the requests.
//! let levels = [Health { healthy: 2, hosts: 4 }, Health { healthy: 4, hosts: 4 }];
//! let loads = Overflow::default().loads(&levels);
//! assert_eq!([loads[0].percent, loads[1].percent], [70, 30]);
//! assert!(!loads[0].panic);
//! ```
//!
//! # Implementation notes
//!
//! As in Envoy, in whole percent.

/// Distributes requests over priority levels, and decides which levels are in panic.
#[derive(Debug, Clone)]
pub struct Overflow {
    factor: u32,
    threshold: u32,
}

/// The number of healthy endpoints of a level, or of a locality.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// The number of healthy endpoints. More than `hosts` counts as `hosts`.
    pub healthy: usize,
    /// The number of all endpoints, except those whose health was never determined.
    pub hosts: usize,
}

/// The load of a level.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LevelLoad {
    /// Its percentage of all requests. The levels add up to 100, or to 0 if there are no endpoints to send requests to.
    pub percent: u32,
    /// Whether to balance over all endpoints of the level, healthy or not, because there are too few healthy ones for
    /// the load, and it is more likely that the health information is wrong.
    pub panic: bool,
}

impl Overflow {
    /// Sets the overprovisioning factor in percent. By default 140: a level receives all requests while at least 71.4 %
    /// of its endpoints are healthy. Less than 100 counts as 100.
    pub fn overprovisioning(self, percent: u32) -> Self {
        Self {
            factor: percent.max(100),
            ..self
        }
    }

    /// Sets the panic threshold: a level is in panic when less than this percentage of its endpoints is healthy, and
    /// all levels together do not have the capacity for all requests. By default 50. With 0 there is no panic; then, if
    /// no endpoint is healthy, none receives requests.
    pub fn panic_threshold(self, percent: u32) -> Self {
        Self {
            threshold: percent,
            ..self
        }
    }

    /// Returns whether this level, if it is the only one, is in panic, so that health should be ignored.
    pub fn is_panic(&self, health: Health) -> bool {
        self.capacity(health) < 100 && health.is_below(self.threshold)
    }

    /// Returns the load of each level. `levels` are in order of preference.
    pub fn loads(&self, levels: &[Health]) -> Vec<LevelLoad> {
        let capacity: Vec<_> = levels
            .iter()
            .map(|level| u64::from(self.capacity(*level)))
            .collect();
        let total = capacity.iter().sum::<u64>().min(100);
        let panics: Vec<_> = levels
            .iter()
            .map(|level| total < 100 && level.is_below(self.threshold))
            .collect();
        let percents = if panics.iter().all(|panic| *panic) {
            // All levels are in panic, so health is ignored.
            let hosts: Vec<_> = levels.iter().map(|level| level.hosts as u64).collect();
            split(&hosts, hosts.iter().sum())
        } else {
            split(&capacity, total)
        };
        let load = |(percent, panic)| LevelLoad { percent, panic };
        percents.into_iter().zip(panics).map(load).collect()
    }

    /// Returns the effective weights of localities of one level, from their weights and their health. Only their ratios
    /// matter.
    ///
    /// ```
    /// use tower_balance::policy::priority::{Health, Overflow};
    ///
    /// let half = Health { healthy: 2, hosts: 4 };
    /// let all = Health { healthy: 4, hosts: 4 };
    /// assert_eq!(Overflow::default().locality_weights(&[(1, half), (2, all)]), [70, 200]);
    /// ```
    pub fn locality_weights(&self, localities: &[(u32, Health)]) -> Vec<u64> {
        let weight = |(weight, health): &(u32, Health)| {
            u64::from(*weight) * u64::from(self.capacity(*health))
        };
        localities.iter().map(weight).collect()
    }

    /// Returns the percentage of all requests for which there is capacity.
    fn capacity(&self, health: Health) -> u32 {
        let healthy = health.healthy.min(health.hosts) as u128;
        let capacity = (healthy * u128::from(self.factor)).checked_div(health.hosts as u128);
        capacity.unwrap_or(0).min(100) as u32
    }
}

impl Default for Overflow {
    fn default() -> Self {
        Self {
            factor: 140,
            threshold: 50,
        }
    }
}

impl Health {
    fn is_below(self, percent: u32) -> bool {
        // Without endpoints, 0 % are healthy.
        let healthy = self.healthy as u128 * 100;
        healthy < u128::from(percent) * self.hosts.max(1) as u128
    }
}

/// Splits 100 in proportion to the parts. The remainder from rounding goes to the first part that is not 0.
fn split(parts: &[u64], total: u64) -> Vec<u32> {
    let mut left = 100;
    let share = |part: &u64| {
        let share = (u128::from(*part) * 100)
            .checked_div(u128::from(total))
            .unwrap_or(0);
        let share = share.min(left) as u32;
        left -= u128::from(share);
        share
    };
    let mut shares: Vec<_> = parts.iter().map(share).collect();
    if let Some(first) = parts.iter().position(|part| *part > 0) {
        shares[first] += left as u32;
    }
    shares
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn health(healthy: usize, hosts: usize) -> Health {
        Health { healthy, hosts }
    }

    fn loads(overflow: &Overflow, levels: &[(usize, usize)]) -> (Vec<u32>, Vec<bool>) {
        let levels: Vec<_> = levels
            .iter()
            .map(|(healthy, hosts)| health(*healthy, *hosts))
            .collect();
        overflow
            .loads(&levels)
            .into_iter()
            .map(|load| (load.percent, load.panic))
            .unzip()
    }

    /// The cases of Envoy's `load_balancer_impl_base_test.cc` and of its documentation.
    #[test]
    fn levels_have_the_same_load_as_in_envoy() {
        let cases: &[(&[(usize, usize)], &[u32], &[bool])] = &[
            (&[(2, 4), (2, 4)], &[70, 30], &[false, false]),
            (&[(1, 4), (2, 2)], &[35, 65], &[false, false]),
            (&[(1, 4), (1, 4)], &[50, 50], &[true, true]),
            (
                &[(1, 4), (1, 4), (1, 4)],
                &[35, 35, 30],
                &[false, false, false],
            ),
            (
                &[(1, 5), (1, 5), (1, 5)],
                &[34, 33, 33],
                &[true, true, true],
            ),
            (
                &[(0, 5), (0, 5), (4, 5)],
                &[0, 0, 100],
                &[false, false, false],
            ),
            (
                &[(0, 5), (0, 5), (2, 5)],
                &[34, 33, 33],
                &[true, true, true],
            ),
            (
                &[(0, 5), (0, 3), (0, 2)],
                &[50, 30, 20],
                &[true, true, true],
            ),
            (
                &[(0, 5), (2, 6), (1, 3)],
                &[37, 42, 21],
                &[true, true, true],
            ),
            (&[(0, 0), (0, 6), (0, 3)], &[0, 67, 33], &[true, true, true]),
            (&[(0, 1), (0, 2)], &[34, 66], &[true, true]),
            (&[(72, 100), (72, 100)], &[100, 0], &[false, false]),
            (&[(71, 100), (71, 100)], &[99, 1], &[false, false]),
            (&[(5, 100), (65, 100)], &[8, 92], &[true, false]),
            // Three of the four endpoints of the first level were never checked: they do not count.
            (&[(1, 4 - 3), (0, 4)], &[100, 0], &[false, false]),
        ];
        for (levels, percents, panics) in cases {
            let loads = loads(&Overflow::default(), levels);
            assert_eq!((&*loads.0, &*loads.1), (*percents, *panics), "{levels:?}");
        }
        let exact = Overflow::default().overprovisioning(100);
        assert_eq!(loads(&exact, &[(2, 4), (2, 4)]).0, [50, 50]);
    }

    #[test]
    fn without_panic_no_load_exceeds_the_capacity() {
        let never = Overflow::default().panic_threshold(0);
        assert_eq!(
            loads(&never, &[(0, 5), (0, 5)]),
            (vec![0, 0], vec![false, false])
        );
        assert_eq!(loads(&never, &[(0, 5), (1, 5)]).0, [0, 100]);
        assert_eq!(
            loads(&Overflow::default(), &[(0, 0)]),
            (vec![0], vec![true])
        );
        assert_eq!(loads(&Overflow::default(), &[]).0, []);
    }

    #[test]
    fn panic_starts_below_the_threshold() {
        let overflow = Overflow::default();
        assert!(overflow.is_panic(health(49, 100)));
        assert!(!overflow.is_panic(health(50, 100)));
        assert!(overflow.is_panic(health(0, 0)));
        assert!(
            !Overflow::default()
                .panic_threshold(0)
                .is_panic(health(0, 9))
        );
        let high = Overflow::default().panic_threshold(90);
        assert!(
            !high.is_panic(health(80, 100)),
            "they have the capacity for all requests"
        );
    }

    #[test]
    fn the_weight_of_a_locality_decreases_with_its_health() {
        for (healthy, percent) in [(100, 33), (69, 32), (50, 26), (25, 15), (0, 0)] {
            let localities = [(1, health(healthy, 100)), (2, health(9, 9))];
            let weights = Overflow::default().locality_weights(&localities);
            let share = (100.0 * weights[0] as f64 / (weights[0] + weights[1]) as f64).round();
            assert_eq!(share as u32, percent, "{healthy} % healthy");
        }
    }

    proptest! {
        #[test]
        fn loads_add_up_to_a_hundred_or_to_zero(
            levels in prop::collection::vec((any::<u32>(), 0..u32::MAX), 0..8), factor: u32, threshold: u32,
        ) {
            let overflow = Overflow::default().overprovisioning(factor).panic_threshold(threshold);
            let levels: Vec<_> = levels.iter().map(|(healthy, hosts)| health(*healthy as usize, *hosts as usize)).collect();
            let sum: u32 = overflow.loads(&levels).iter().map(|load| load.percent).sum();
            prop_assert!(sum == 100 || sum == 0, "{sum}");
        }
    }
}
