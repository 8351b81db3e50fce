/// The success rate below which an endpoint is an outlier.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Statistic {
    /// Below the mean by more than this number of (population) standard deviations. Envoy and gRPC use 1.9.
    ///
    /// Several outliers mask each other: they lower the mean and increase the deviation. Of n endpoints, k that fail
    /// every request are detected only while `sqrt((n - k) / k)` exceeds the factor: with 1.9 that is one of 5, one of
    /// 9, two of 10, 21 of 100, and never one of 4.
    StdDev(f64),
    /// Below the median by more than this number of standard deviations, estimated by the median absolute deviation.
    /// Use 3.0.
    ///
    /// Detects outliers while they are fewer than half. If most rates are similar, that median is near 0; a minimum
    /// of 0.01 is used, so that with 3.0 no endpoint is ejected for less than 4.4 percentage points.
    Mad(f64),
}

impl Statistic {
    /// Returns the rate, up to 1.0, below which an endpoint is an outlier. It is below 0.0 if no endpoint can be one,
    /// for example without any `rates`. Sorts the `rates`.
    ///
    /// ```
    /// use tower_health::policy::outlier::Statistic;
    ///
    /// // Two of nine fail every request, and mask each other.
    /// let mut rates = [1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0];
    /// assert!(Statistic::StdDev(1.9).threshold(&mut rates) < 0.0);
    /// assert!(Statistic::Mad(3.0).threshold(&mut rates) > 0.9);
    /// ```
    pub fn threshold(self, rates: &mut [f64]) -> f64 {
        if rates.is_empty() {
            return f64::NEG_INFINITY;
        }
        let count = rates.len() as f64;
        match self {
            Self::StdDev(factor) => {
                let mean = rates.iter().sum::<f64>() / count;
                let variance = rates.iter().map(|rate| (rate - mean).powi(2)).sum::<f64>() / count;
                mean - factor * variance.sqrt()
            }
            Self::Mad(factor) => {
                let middle = median(rates);
                let mut deviations: Vec<_> =
                    rates.iter().map(|rate| (rate - middle).abs()).collect();
                let deviation = median(&mut deviations).max(MIN_DEVIATION);
                middle - factor * TO_SIGMA * deviation
            }
        }
    }
}

/// Sorts the values, which must not be empty.
fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) {
        f64::midpoint(values[middle - 1], values[middle])
    } else {
        values[middle]
    }
}

/// The factor from the median absolute deviation to the standard deviation of a normal distribution.
const TO_SIGMA: f64 = 1.4826;
const MIN_DEVIATION: f64 = 0.01;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `bad` endpoints fail every request, the others none.
    fn found(statistic: Statistic, bad: usize, all: usize) -> bool {
        let mut rates: Vec<_> = (0..all).map(|i| f64::from(i >= bad)).collect();
        0.0 < statistic.threshold(&mut rates)
    }

    fn most_found(statistic: Statistic, all: usize) -> usize {
        (1..all)
            .take_while(|bad| found(statistic, *bad, all))
            .count()
    }

    #[test]
    fn the_threshold_is_that_of_envoy() {
        let threshold = Statistic::StdDev(1.9).threshold(&mut [0.5, 1.0, 1.0, 1.0, 1.0]);
        assert!((threshold - 0.52).abs() < 1e-12, "mean 0.9, deviation 0.2");
    }

    #[test]
    fn outliers_mask_each_other_in_the_standard_deviation() {
        let most = |all| most_found(Statistic::StdDev(1.9), all);
        let table = [
            (3, 0),
            (4, 0),
            (5, 1),
            (9, 1),
            (10, 2),
            (20, 4),
            (50, 10),
            (100, 21),
        ];
        for (all, bad) in table {
            assert_eq!(most(all), bad, "of {all}");
        }
        let mut rates = [0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
        let threshold = Statistic::StdDev(1.9).threshold(&mut rates);
        assert!((threshold + 0.012).abs() < 1e-3, "{threshold}");
    }

    #[test]
    fn outliers_do_not_mask_each_other_in_the_median() {
        for (all, bad) in [(3, 1), (4, 1), (5, 2), (9, 4), (10, 4), (100, 49)] {
            assert_eq!(most_found(Statistic::Mad(3.0), all), bad, "of {all}");
        }
    }

    #[test]
    fn a_small_difference_among_equals_is_no_outlier() {
        let mut rates = [1.0, 1.0, 1.0, 1.0, 0.96];
        let threshold = Statistic::Mad(3.0).threshold(&mut rates);
        assert!((threshold - 0.955_522).abs() < 1e-9, "{threshold}");
    }

    proptest! {
        #[test]
        fn the_median_endpoint_is_never_an_outlier(
            mut rates in prop::collection::vec(0.0..=1.0, 0..50), factor in 0.1..5.0,
        ) {
            for statistic in [Statistic::StdDev(factor), Statistic::Mad(factor)] {
                let threshold = statistic.threshold(&mut rates);
                let outliers = rates.iter().filter(|rate| **rate < threshold).count();
                prop_assert!(outliers == 0 || outliers < rates.len());
                if matches!(statistic, Statistic::Mad(_)) {
                    prop_assert!(outliers <= rates.len() / 2);
                }
            }
        }
    }
}
