use std::time::Duration;

use tokio::time::Instant;
use tower_util::InvalidPolicy;

use super::bounds::{Bounds, bounded};
use super::{Limit, is_used};

/// Additive increase, multiplicative decrease: the limit grows by one with each response while at least half of it is in use, and
/// is multiplied by the backoff with each request that was dropped or took too long.
///
/// It looks at latency only through its timeout. Use it where a server refuses what it cannot do, or where the longest tolerable
/// latency is known.
///
/// # Implementation notes
///
/// As `AIMDLimit` of Netflix's [concurrency-limits](https://github.com/Netflix/concurrency-limits), with its defaults.
#[derive(Clone, Debug)]
pub struct Aimd {
    config: AimdConfig,
    limit: usize,
}

/// The configuration of an [`Aimd`].
#[derive(Clone, Debug)]
pub struct AimdConfig {
    bounds: Bounds,
    backoff: f64,
    timeout: Duration,
}

bounded!(AimdConfig, 1, 10, 1000);

impl AimdConfig {
    /// Sets by what the limit is multiplied when it falls: from 0.5 up to, but not including, 1. By default 0.9.
    #[must_use]
    pub const fn backoff(mut self, backoff: f64) -> Self {
        self.backoff = backoff;
        self
    }

    /// Sets the latency above which a response counts as a drop. By default 5 seconds.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

impl Default for AimdConfig {
    fn default() -> Self {
        Self {
            bounds: Self::BOUNDS,
            backoff: 0.9,
            timeout: Duration::from_secs(5),
        }
    }
}

impl Aimd {
    /// Creates the policy.
    ///
    /// # Errors
    ///
    /// If a parameter is out of its range.
    pub fn try_new(config: AimdConfig) -> Result<Self, InvalidPolicy> {
        config.bounds.validate()?;
        InvalidPolicy::ensure(
            (0.5..1.0).contains(&config.backoff),
            "the backoff of a limit is a number from 0.5 up to, but not including, 1",
        )?;
        InvalidPolicy::ensure(!config.timeout.is_zero(), "a timeout is more than zero")?;
        let limit = config.bounds.initial;
        Ok(Self { config, limit })
    }
}

impl Default for Aimd {
    fn default() -> Self {
        let config = AimdConfig::default();
        let limit = config.bounds.initial;
        Self { config, limit }
    }
}

impl Limit for Aimd {
    fn sample(&mut self, _now: Instant, rtt: Duration, in_flight: usize, dropped: bool) {
        let next = if dropped || rtt > self.config.timeout {
            // At least one less, which rounding down gives: the product is less than the limit.
            (self.limit as f64 * self.config.backoff) as usize
        } else if is_used(self.limit as f64, in_flight) {
            self.limit + 1
        } else {
            return;
        };
        self.limit = self.config.bounds.clamp(next);
    }

    fn limit(&self) -> usize {
        self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Duration = Duration::from_millis(10);

    fn aimd(config: AimdConfig) -> (Aimd, Instant) {
        (Aimd::try_new(config).unwrap(), Instant::now())
    }

    #[test]
    fn grows_by_one_while_half_of_it_is_in_use() {
        let (mut aimd, now) = aimd(AimdConfig::default());
        for (in_flight, limit) in [(4, 10), (5, 11), (5, 11), (6, 12), (12, 13)] {
            aimd.sample(now, FAST, in_flight, false);
            assert_eq!(aimd.limit(), limit);
        }
    }

    #[test]
    fn falls_by_a_tenth_with_a_drop_or_a_slow_response() {
        let (mut aimd, now) = aimd(AimdConfig::default().initial(100));
        let slow = Duration::from_secs(5);
        let samples = [
            (FAST, true, 90),
            (slow, false, 91),
            (slow + FAST, false, 81),
            (FAST, true, 72),
        ];
        for (rtt, dropped, limit) in samples {
            aimd.sample(now, rtt, 100, dropped);
            assert_eq!(aimd.limit(), limit);
        }
    }

    #[test]
    fn falls_by_at_least_one_and_not_below_the_floor() {
        let (mut aimd, now) = aimd(AimdConfig::default().limits(3..=9).initial(5));
        for limit in [4, 3, 3] {
            aimd.sample(now, FAST, 5, true);
            assert_eq!(aimd.limit(), limit);
        }
    }

    #[test]
    fn invalid_parameters_are_errors() {
        let config = AimdConfig::default;
        for config in [
            config().limits(0..=20),
            #[expect(clippy::reversed_empty_ranges, reason = "is tested")]
            config().limits(20..=10),
            config().limits(1..=usize::MAX),
            config().initial(2000),
            config().limits(20..=30),
            config().backoff(1.0),
            config().backoff(0.4),
            config().backoff(f64::NAN),
            config().timeout(Duration::ZERO),
        ] {
            assert!(Aimd::try_new(config.clone()).is_err(), "{config:?}");
        }
        assert!(Aimd::try_new(config()).is_ok());
    }
}
