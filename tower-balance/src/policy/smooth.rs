/// The smooth weighted round robin of nginx: exact over every cycle, with turns spread as evenly as possible.
///
/// A pick takes a step per endpoint: for many endpoints use [`Stride`](super::Stride). An endpoint of weight 0 gets no
/// turns; if all weights are 0 they are treated as equal.
///
/// # Example
///
/// ```
/// use tower_balance::policy::SmoothRoundRobin;
///
/// let mut turns = SmoothRoundRobin::new(&[5, 1, 1]);
/// let picks: Vec<usize> = std::iter::from_fn(|| turns.pick(|_| true)).take(7).collect();
/// assert_eq!(picks, [0, 0, 1, 0, 2, 0, 0]);
/// ```
#[derive(Debug, Clone)]
pub struct SmoothRoundRobin {
    /// Weight and credit of each: a turn adds every weight to its credit, and subtracts the sum from the endpoint that
    /// is picked.
    endpoints: Vec<(i64, i64)>,
}

impl SmoothRoundRobin {
    /// Creates the state for endpoints with these weights.
    pub fn new(weights: &[u32]) -> Self {
        let uniform = weights.iter().all(|weight| *weight == 0);
        let weight = |weight: &u32| if uniform { 1 } else { i64::from(*weight) };
        Self {
            endpoints: weights.iter().map(|w| (weight(w), 0)).collect(),
        }
    }

    /// Returns the endpoint whose turn it is among those that are `ready`; `None` if there is none with a weight.
    ///
    /// An endpoint that is not ready does not save up turns.
    pub fn pick(&mut self, mut ready: impl FnMut(usize) -> bool) -> Option<usize> {
        let mut paid = 0_i64;
        let mut best: Option<(usize, i64)> = None;
        for (endpoint, (weight, credit)) in self.endpoints.iter_mut().enumerate() {
            if *weight == 0 || !ready(endpoint) {
                continue;
            }
            *credit = credit.saturating_add(*weight);
            paid = paid.saturating_add(*weight);
            if best.is_none_or(|(_, most)| *credit > most) {
                best = Some((endpoint, *credit));
            }
        }
        let (endpoint, _) = best?;
        let credit = &mut self.endpoints[endpoint].1;
        *credit = credit.saturating_sub(paid);
        Some(endpoint)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn weightless_endpoints_get_nothing_unless_all_are() {
        let mut turns = SmoothRoundRobin::new(&[0, 3]);
        assert!((0..9).all(|_| turns.pick(|_| true) == Some(1)));
        assert_eq!(turns.pick(|endpoint| endpoint == 0), None);
        let mut turns = SmoothRoundRobin::new(&[0, 0]);
        let picks: Vec<_> = (0..4).filter_map(|_| turns.pick(|_| true)).collect();
        assert_eq!(picks, [0, 1, 0, 1]);
        assert_eq!(SmoothRoundRobin::new(&[]).pick(|_| true), None);
    }

    #[test]
    fn an_absence_saves_up_no_turns() {
        let mut turns = SmoothRoundRobin::new(&[1, 1]);
        for _ in 0..100 {
            assert_eq!(turns.pick(|endpoint| endpoint == 1), Some(1));
        }
        let back: Vec<_> = (0..4).filter_map(|_| turns.pick(|_| true)).collect();
        assert_eq!(back, [0, 1, 0, 1]);
    }

    proptest! {
        #[test]
        fn each_cycle_is_exact(weights in prop::collection::vec(0_u32..20, 1..10)) {
            prop_assume!(weights.iter().any(|weight| *weight > 0));
            let mut turns = SmoothRoundRobin::new(&weights);
            for _ in 0..3 {
                let mut counts = vec![0; weights.len()];
                for _ in 0..weights.iter().sum() {
                    counts[turns.pick(|_| true).unwrap()] += 1;
                }
                prop_assert_eq!(&counts, &weights);
            }
        }

        #[test]
        fn any_weights_and_absences_are_borne(
            weights in prop::collection::vec(any::<u32>(), 0..10), absent in prop::collection::vec(0_usize..10, 0..100),
        ) {
            let mut turns = SmoothRoundRobin::new(&weights);
            for absent in absent {
                let pick = turns.pick(|endpoint| endpoint != absent);
                prop_assert!(pick.is_none_or(|pick| pick != absent && pick < weights.len()));
            }
        }
    }
}
