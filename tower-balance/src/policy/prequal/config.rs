use std::time::Duration;

use crate::policy::InvalidPolicy;

/// The configuration of [`Prequal`](super::Prequal).
#[derive(Debug, Clone)]
pub struct PrequalConfig {
    pub(super) pool: usize,
    pub(super) max_age: Duration,
    pub(super) probes: f64,
    pub(super) removals: f64,
    pub(super) delta: f64,
    pub(super) quantile: f64,
    pub(super) penalty: Duration,
}

impl PrequalConfig {
    /// Sets how many probe results are kept. By default 16.
    pub fn pool_size(self, size: usize) -> Self {
        Self { pool: size, ..self }
    }

    /// Sets the maximum age of a probe result. By default one second.
    pub fn max_age(self, age: Duration) -> Self {
        Self {
            max_age: age,
            ..self
        }
    }

    /// Sets how many probes are sent per request. Fractions accumulate. By default 3.0.
    pub fn probes_per_request(self, probes: f64) -> Self {
        Self { probes, ..self }
    }

    /// Sets how many results are removed per request, the oldest and the worst in turn. Without removals, good results
    /// would be used up and only bad ones would remain. By default 1.0.
    pub fn removals_per_request(self, removals: f64) -> Self {
        Self { removals, ..self }
    }

    /// Sets the net rate at which results may accumulate, per request. The higher it is, the more often each result is
    /// reused. By default 1.0.
    pub fn delta(self, delta: f64) -> Self {
        Self { delta, ..self }
    }

    /// Sets the quantile of the recent requests in flight above which a server is hot. With 0.0 only requests in flight
    /// count, with 1.0 only latency. By default 2^-0.25, about 0.84, as in the paper. In the simulator
    /// (`benches/simulator`), 0.5 results in lower latencies in nearly all scenarios, especially with fewer than about
    /// 24 servers.
    pub fn hot_quantile(self, quantile: f64) -> Self {
        Self { quantile, ..self }
    }

    /// Sets the penalty: the latency that is added if all requests of a server fail. By default 5 seconds.
    pub fn failure_penalty(self, penalty: Duration) -> Self {
        Self { penalty, ..self }
    }

    pub(super) fn validate(&self) -> Result<(), InvalidPolicy> {
        let rate = |rate| (0.0..=100.0).contains(&rate);
        InvalidPolicy::ensure(self.pool >= 2, "the pool needs room for two probes")?;
        InvalidPolicy::ensure(
            !self.max_age.is_zero(),
            "the maximum age of a probe must be more than zero",
        )?;
        InvalidPolicy::ensure(
            rate(self.probes),
            "the probes per request must be a number from 0 to 100",
        )?;
        InvalidPolicy::ensure(
            rate(self.removals),
            "the removals per request must be a number from 0 to 100",
        )?;
        InvalidPolicy::ensure(rate(self.delta), "the delta must be a number from 0 to 100")?;
        InvalidPolicy::ensure(
            (0.0..=1.0).contains(&self.quantile),
            "the quantile must be a number from 0 to 1",
        )
    }

    /// Returns how often a result may be used with this number of endpoints, on average, so that the pool does not run
    /// empty. Infinite if there are too few probes for that.
    pub(super) fn uses(&self, endpoints: usize) -> f64 {
        let useful = 1.0 - self.pool as f64 / endpoints as f64;
        let gain = useful * self.probes - self.removals;
        if gain > 0.0 {
            ((1.0 + self.delta) / gain).max(1.0)
        } else {
            f64::INFINITY
        }
    }
}

impl Default for PrequalConfig {
    fn default() -> Self {
        Self {
            pool: 16,
            max_age: Duration::from_secs(1),
            probes: 3.0,
            removals: 1.0,
            delta: 1.0,
            quantile: 0.840_896_415_253_714_5,
            penalty: Duration::from_secs(5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_are_as_in_the_paper() {
        let config = PrequalConfig::default();
        assert!((config.uses(100) - 2.0 / 1.52).abs() < 1e-12);
        assert_eq!(config.uses(usize::MAX), 1.0);
        assert_eq!(
            config.uses(24),
            f64::INFINITY,
            "a third of three probes is useful, one is removed"
        );
        assert_eq!(config.uses(1), f64::INFINITY);
    }

    #[test]
    fn invalid_configurations_are_rejected() {
        let config = PrequalConfig::default;
        for config in [
            config().pool_size(1),
            config().max_age(Duration::ZERO),
            config().probes_per_request(f64::NAN),
            config().removals_per_request(-1.0),
            config().delta(f64::INFINITY),
            config().hot_quantile(1.1),
        ] {
            assert!(config.validate().is_err(), "{config:?}");
        }
        assert!(config().validate().is_ok());
    }
}
