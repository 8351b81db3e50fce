/// gRPC's static stride scheduler: weighted round robin in which the turns of each endpoint are in proportion to
/// its weight, and spread out evenly.
///
/// On average, a pick takes as many steps as the ratio of the greatest weight to the mean.
///
/// Weights are scaled to the range from 1 to 65,535, so the shares of two endpoints differ by at most this factor. If
/// all weights are 0 they are treated as equal.
///
/// # Example
///
/// ```
/// use tower_balance::policy::{Stride, ZeroWeight};
///
/// let mut stride = Stride::new(&[1, 2, 0], ZeroWeight::Never, 0);
/// let picks: Vec<usize> = std::iter::from_fn(|| stride.pick()).take(6).collect();
/// assert_eq!(picks, [1, 0, 1, 1, 0, 1]);
/// ```
///
/// # Implementation notes
///
/// gRFC A58, *Client Side Weighted Round Robin*. Each endpoint has a turn in every round, and takes it when the sum of
/// its weights over the rounds overflows; each starts half a stride after the one before it, so that equal endpoints do
/// not all skip the same rounds.
#[derive(Debug, Clone)]
pub struct Stride {
    scaled: Vec<u16>,
    sequence: u32,
}

/// How an endpoint of weight 0 is treated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ZeroWeight {
    /// It has no turns.
    #[default]
    Never,
    /// Its weight is unknown, and the mean of the others is used, as in gRPC.
    Mean,
}

impl Stride {
    /// Creates a scheduler that starts at turn `sequence`. It should be random if many clients start at the same time,
    /// so that they do not all start with the same endpoint.
    pub fn new(weights: &[u32], zero: ZeroWeight, sequence: u32) -> Self {
        let greatest = weights.iter().copied().max().unwrap_or(0).max(1);
        let known = weights.iter().filter(|weight| **weight > 0).count().max(1) as u128;
        let sum: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
        let divisor = u128::from(greatest) * known;
        // Rounded.
        let mean = (sum * u128::from(MAX) + divisor / 2) / divisor;
        let unknown = match zero {
            _ if sum == 0 => MAX,
            ZeroWeight::Never => 0,
            ZeroWeight::Mean => (mean as u64).max(1),
        };
        let scaled = weights
            .iter()
            .map(|weight| match *weight {
                0 => unknown as u16,
                weight => scale(weight, greatest) as u16,
            })
            .collect();
        Self { scaled, sequence }
    }

    /// Returns the endpoint of the next turn, or `None` if there are no endpoints.
    pub fn pick(&mut self) -> Option<usize> {
        let count = self.scaled.len() as u64;
        if count == 0 {
            return None;
        }
        // Terminates: the heaviest endpoint takes every turn.
        loop {
            let sequence = u64::from(self.sequence);
            self.sequence = self.sequence.wrapping_add(1);
            let (round, endpoint) = (sequence / count, sequence % count);
            let weight = u64::from(self.scaled[endpoint as usize]);
            if takes_turn(weight, round, endpoint) {
                return Some(endpoint as usize);
            }
        }
    }
}

/// Returns the weight relative to the greatest one, from 1 to [`MAX`]; or 0 for a weight of 0.
pub(crate) fn scale(weight: u32, greatest: u32) -> u64 {
    let greatest = u64::from(greatest).max(1);
    let scaled = (u64::from(weight) * MAX + greatest / 2) / greatest;
    if weight == 0 { 0 } else { scaled.clamp(1, MAX) }
}

/// Returns whether an endpoint of this scaled weight takes its turn in this round.
pub(crate) fn takes_turn(scaled: u64, round: u64, endpoint: u64) -> bool {
    // Multiples of the divisor can be dropped, so that nothing overflows.
    (scaled * (round % MAX) + (endpoint % MAX) * OFFSET) % MAX >= MAX - scaled
}

pub(crate) const MAX: u64 = u16::MAX as u64;
const OFFSET: u64 = MAX / 2;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn picks(weights: &[u32], zero: ZeroWeight, count: usize) -> Vec<usize> {
        let mut stride = Stride::new(weights, zero, 0);
        std::iter::from_fn(|| stride.pick()).take(count).collect()
    }

    /// The test cases of grpc-go's `scheduler_test.go`, and two more.
    #[test]
    fn the_order_is_as_in_grpc() {
        let picks = |weights: &[u32], count| picks(weights, ZeroWeight::Mean, count);
        assert_eq!(picks(&[1, 2], 9), [1, 0, 1, 1, 0, 1, 1, 0, 1]);
        assert_eq!(picks(&[1, 1, 2], 4), [1, 2, 0, 2]);
        assert_eq!(picks(&[1, 2, 3], 6), [1, 2, 2, 0, 1, 2]);
        assert_eq!(picks(&[3, 0, 1], 6), [0, 1, 2, 0, 0, 1]);
        assert_eq!(
            picks(&[5, 1, 1], 14),
            [0, 2, 0, 0, 1, 0, 0, 0, 2, 0, 0, 1, 0, 0]
        );
        assert_eq!(
            Stride::new(&[3, 0, 1], ZeroWeight::Mean, 0).scaled,
            [65_535, 43_690, 21_845]
        );
    }

    #[test]
    fn equal_weights_are_round_robin() {
        for weights in [[0, 0, 0], [7, 7, 7], [u32::MAX; 3]] {
            for zero in [ZeroWeight::Never, ZeroWeight::Mean] {
                assert_eq!(picks(&weights, zero, 7), [0, 1, 2, 0, 1, 2, 0]);
            }
        }
        assert_eq!(
            picks(&[0, 9, 0], ZeroWeight::Mean, 4),
            [0, 1, 2, 0],
            "with one known weight, all are equal"
        );
        assert_eq!(picks(&[0, 9, 0], ZeroWeight::Never, 4), [1, 1, 1, 1]);
    }

    #[test]
    fn picks_are_in_proportion_to_weights() {
        let picks = picks(&[1, 10], ZeroWeight::Never, 60_000);
        let light = picks.iter().filter(|pick| **pick == 0).count();
        assert!((5450..=5460).contains(&light), "{light}");
    }

    #[test]
    fn without_endpoints_there_is_no_turn() {
        assert_eq!(Stride::new(&[], ZeroWeight::Mean, 7).pick(), None);
    }

    #[test]
    fn the_sequence_wraps_around() {
        let mut stride = Stride::new(&[1, 2], ZeroWeight::Never, u32::MAX - 2);
        let heavy = (0..9).filter(|_| stride.pick() == Some(1)).count();
        assert!((5..=7).contains(&heavy), "{heavy} of 9");
    }

    proptest! {
        #[test]
        fn shares_are_within_two_percent_of_the_weights(
            weights in prop::collection::vec(50_u32..1000, 1..20), sequence in 0_u32..1_000_000,
        ) {
            let mut stride = Stride::new(&weights, ZeroWeight::Never, sequence);
            let mut counts = vec![0_u32; weights.len()];
            for _ in 0..100_000 {
                counts[stride.pick().unwrap()] += 1;
            }
            let sum: u32 = weights.iter().sum();
            for (count, weight) in counts.iter().zip(&weights) {
                let due = 1e5 * f64::from(*weight) / f64::from(sum);
                let difference = (f64::from(*count) - due).abs();
                prop_assert!(difference <= 0.02 * due + 2.0, "{count} instead of {due}");
            }
        }

        #[test]
        fn only_endpoints_with_a_weight_are_picked(
            weights in prop::collection::vec(prop_oneof![Just(0), any::<u32>()], 1..8), sequence: u32,
        ) {
            let mut stride = Stride::new(&weights, ZeroWeight::Never, sequence);
            for _ in 0..100 {
                let pick = stride.pick().unwrap();
                prop_assert!(weights[pick] > 0 || weights.iter().all(|weight| *weight == 0));
            }
        }
    }
}
