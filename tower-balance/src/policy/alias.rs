use tower_util::rng::Rng;

use super::InvalidPolicy;

/// Draws endpoints by weight in constant time.
///
/// An endpoint of weight 0 is never drawn; if all weights are 0 they are treated as equal.
///
/// # Example
///
/// ```
/// use tower_balance::policy::Alias;
/// use tower_util::rng::SplitMix;
///
/// let alias = Alias::new([1.0, 3.0])?;
/// let mut rng = SplitMix::with_seed(1);
/// let heavy = (0..1000).filter(|_| alias.draw(&mut rng) == Some(1)).count();
/// assert!((700..800).contains(&heavy));
/// # Ok::<(), tower_balance::policy::InvalidPolicy>(())
/// ```
///
/// # Implementation notes
///
/// M. Vose, *A Linear Algorithm for Generating Random Numbers with a Given Distribution*, 1991.
#[derive(Debug, Clone)]
pub struct Alias {
    /// For each column, the share of its own endpoint, and the endpoint that has the rest.
    columns: Vec<(f64, usize)>,
}

impl Alias {
    /// Builds the table for these weights.
    ///
    /// # Errors
    ///
    /// If a weight is negative, infinite or NaN.
    pub fn new(weights: impl IntoIterator<Item = f64>) -> Result<Self, InvalidPolicy> {
        let mut weights: Vec<f64> = weights.into_iter().collect();
        let valid = weights
            .iter()
            .all(|weight| weight.is_finite() && *weight >= 0.0);
        InvalidPolicy::ensure(valid, "a weight must be a finite number of at least 0")?;
        // Normalized by the greatest weight, so that the sum is finite.
        let greatest = weights.iter().copied().fold(0.0, f64::max);
        if greatest == 0.0 {
            weights.fill(1.0);
        } else {
            weights.iter_mut().for_each(|weight| *weight /= greatest);
        }
        let mean = weights.iter().sum::<f64>() / weights.len() as f64;
        let mut columns: Vec<_> = weights
            .iter()
            .map(|weight| weight / mean)
            .zip(0..)
            .collect();

        let (mut small, mut large): (Vec<_>, Vec<_>) =
            (0..columns.len()).partition(|i| columns[*i].0 < 1.0);
        while let (Some(less), Some(more)) = (small.last().copied(), large.last().copied()) {
            small.pop();
            columns[less].1 = more;
            columns[more].0 -= 1.0 - columns[less].0;
            if columns[more].0 < 1.0 {
                large.pop();
                small.push(more);
            }
        }
        // Rounding may leave columns whose rest was not assigned. The rest belongs to the column's own endpoint, unless
        // that has weight 0.
        let fallback = weights.iter().position(|weight| *weight > 0.0).unwrap_or(0);
        for i in small.into_iter().chain(large) {
            columns[i] = if weights[i] > 0.0 {
                (1.0, i)
            } else {
                (0.0, fallback)
            };
        }
        Ok(Self { columns })
    }

    /// Draws an endpoint; returns `None` if there are none.
    #[inline]
    pub fn draw<R: Rng + ?Sized>(&self, rng: &mut R) -> Option<usize> {
        let column = rng.next_range(0..self.columns.len() as u64) as usize;
        let (own, other) = *self.columns.get(column)?;
        Some(if rng.next_f64() < own { column } else { other })
    }

    /// Draws two endpoints. If the second equals the first, it is drawn again, up to five draws in total. They are the
    /// same if there is only one endpoint, and may be the same otherwise: with a probability of 1/32 for two equal
    /// endpoints, and more often if one has nearly all the weight. Returns `None` if there are none.
    #[inline]
    pub fn draw_two<R: Rng + ?Sized>(&self, rng: &mut R) -> Option<(usize, usize)> {
        let first = self.draw(rng)?;
        let second = (0..REDRAWS)
            .filter_map(|_| self.draw(rng))
            .find(|second| *second != first);
        Some((first, second.unwrap_or(first)))
    }
}

/// The number of draws for a second endpoint that differs from the first, as in Finagle.
const REDRAWS: usize = 5;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tower_util::rng::SplitMix;

    use super::*;

    /// The probability of each endpoint, computed from the table.
    fn shares(alias: &Alias) -> Vec<f64> {
        let mut shares = vec![0.0; alias.columns.len()];
        for (i, (own, other)) in alias.columns.iter().enumerate() {
            shares[i] += own / alias.columns.len() as f64;
            shares[*other] += (1.0 - own) / alias.columns.len() as f64;
        }
        shares
    }

    #[test]
    fn invalid_weights_are_rejected() {
        for weight in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(Alias::new([1.0, weight]).is_err(), "{weight}");
        }
    }

    #[test]
    fn weights_of_zero_are_treated_as_equal() {
        assert_eq!(shares(&Alias::new([0.0; 4]).unwrap()), [0.25; 4]);
        let mut rng = SplitMix::with_seed(1);
        assert_eq!(Alias::new([]).unwrap().draw(&mut rng), None);
        assert_eq!(Alias::new([]).unwrap().draw_two(&mut rng), None);
        assert_eq!(Alias::new([7.0]).unwrap().draw_two(&mut rng), Some((0, 0)));
    }

    #[test]
    fn two_draws_nearly_always_differ() {
        let alias = Alias::new([1.0, 1.0]).unwrap();
        let mut rng = SplitMix::with_seed(1);
        let pairs = (0..10_000).filter_map(|_| alias.draw_two(&mut rng));
        let same = pairs.filter(|(first, second)| first == second).count();
        assert!(
            (200..430).contains(&same),
            "{same} of 10000, one in 2⁵ expected"
        );
    }

    #[test]
    fn draws_are_within_two_percent_of_the_weights() {
        let weights = [1.0, 2.0, 3.0, 4.0];
        let alias = Alias::new(weights).unwrap();
        let mut rng = SplitMix::with_seed(3);
        let mut counts = [0.0; 4];
        (0..100_000).for_each(|_| counts[alias.draw(&mut rng).unwrap()] += 1.0);
        for (count, weight) in counts.iter().zip(weights) {
            assert!(
                (count / 10_000.0 - weight).abs() < 0.02 * weight,
                "{counts:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn the_table_represents_any_weights(
            weights in prop::collection::vec(
                prop_oneof![Just(0.0), 0.0..1.0, (0..u32::MAX).prop_map(f64::from), Just(f64::MAX), Just(5e-324)], 1..40),
        ) {
            let greatest = weights.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
            let sum: f64 = weights.iter().map(|weight| weight / greatest).sum();
            prop_assume!(sum > 0.0);
            let alias = Alias::new(weights.clone()).unwrap();
            for (share, weight) in shares(&alias).iter().zip(&weights) {
                prop_assert!((share - weight / greatest / sum).abs() < 1e-9);
                prop_assert!(*weight > 0.0 || *share == 0.0);
            }
        }
    }
}
