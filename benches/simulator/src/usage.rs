//! The usage that servers report once a second, and the weights computed from it.

/// The usage of a server since its last report.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// The mean number of cores in use.
    pub cores: f64,
    /// The number of requests with a response.
    pub responses: u32,
    /// The number of failed requests.
    pub failures: u32,
}

/// Computes the weights of servers with `cores` cores as in gRFC A58: requests per utilization of the cores in the last second,
/// without a blackout period. A server without requests gets the mean of the others.
pub fn weights(usages: impl Iterator<Item = (Usage, f64)>) -> Vec<u32> {
    let weight = |(usage, allotted): (Usage, f64)| {
        let requests = f64::from(usage.responses + usage.failures);
        let failing = f64::from(usage.failures) / requests.max(1.0);
        let weight = requests / (usage.cores / allotted + failing);
        (weight.is_finite() && weight > 0.0).then_some(weight)
    };
    let weights: Vec<_> = usages.map(weight).collect();
    let known = || weights.iter().flatten();
    let mean = known().sum::<f64>() / known().count().max(1) as f64;
    let relative = |weight: &Option<f64>| weight.map_or(1.0, |weight| weight / mean);
    let scaled = |weight| (relative(weight) * MEAN).clamp(1.0, 1e6) as u32;
    weights.iter().map(scaled).collect()
}

/// The mean of the weights.
const MEAN: f64 = 1000.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_requests_by_use() {
        let usage = |cores, responses, failures| Usage {
            cores,
            responses,
            failures,
        };
        // A server of half the capacity, one without requests, and one that fails.
        let usages = [
            usage(2.0, 100, 0),
            usage(4.0, 100, 0),
            usage(0.0, 0, 0),
            usage(0.0, 0, 50),
        ];
        let weights = weights(usages.into_iter().map(|usage| (usage, 4.0)));
        assert_eq!(weights, [1714, 857, 1000, 428]);
    }
}
