use std::time::Duration;

use tower_util::rng::Rng;

use crate::policy::InvalidPolicy;

/// When an endpoint is marked dead, and for how long. Any one of the rules is enough.
#[derive(Debug, Clone)]
pub struct AccrualConfig {
    pub(super) consecutive: Option<u32>,
    pub(crate) cancelled_after: Option<Duration>,
    pub(super) within: Option<Within>,
    pub(super) over: Option<Over>,
    min_wait: Duration,
    max_wait: Duration,
}

/// A success rate in a time window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Within {
    pub(super) rate: f64,
    pub(super) window: Duration,
    pub(super) min_requests: u64,
}

/// A success rate over a number of requests.
#[derive(Debug, Clone, Copy)]
pub(super) struct Over {
    pub(super) rate: f64,
    pub(super) requests: u32,
}

impl AccrualConfig {
    /// Creates a configuration without rules: an endpoint is never marked dead.
    pub fn never() -> Self {
        Self {
            consecutive: None,
            within: None,
            over: None,
            ..Self::default()
        }
    }

    /// Marks an endpoint dead after `failures` consecutive failures. By default 5.
    pub fn consecutive(self, failures: u32) -> Self {
        Self {
            consecutive: Some(failures),
            ..self
        }
    }

    /// Sets how long a request must have waited for its endpoint to count as a failure when it is cancelled, for
    /// example by a timeout above the balancer. By default 500 milliseconds; with `None` cancelled requests never
    /// count.
    ///
    /// Set it longer than the endpoints usually take to respond, and shorter than the timeouts.
    pub fn cancelled_after(self, waited: Option<Duration>) -> Self {
        Self {
            cancelled_after: waited,
            ..self
        }
    }

    /// Marks an endpoint dead when less than `rate` of the requests that completed within the last `window` succeeded,
    /// if there were at least `min_requests`. By default 0.8, 30 seconds and 5. The window moves in ten steps.
    pub fn success_rate_within(self, rate: f64, window: Duration, min_requests: u64) -> Self {
        Self {
            within: Some(Within {
                rate,
                window,
                min_requests,
            }),
            ..self
        }
    }

    /// Marks an endpoint dead when less than `rate` of about the last `requests` succeeded, regardless of time. This is
    /// an exponential moving average, used once there were `requests` of them. By default there is no such rule.
    pub fn success_rate_over(self, rate: f64, requests: u32) -> Self {
        Self {
            over: Some(Over { rate, requests }),
            ..self
        }
    }

    /// Sets how long an endpoint is dead before it is probed: from `min` to twice `min` at random, doubled after each
    /// failed probe, up to `max`. By default 5 and 300 seconds.
    pub fn backoff(self, min: Duration, max: Duration) -> Self {
        Self {
            min_wait: min,
            max_wait: max,
            ..self
        }
    }

    /// Returns the wait after this number of failed probes: half of it fixed, half random.
    pub(super) fn wait<R: Rng + ?Sized>(&self, failed_probes: u32, rng: &mut R) -> Duration {
        let doubled = 2_u32
            .checked_pow(failed_probes)
            .and_then(|n| self.min_wait.checked_mul(n));
        // Leaves room for jitter below the maximum once the wait no longer grows.
        let most = (self.max_wait / 2).max(self.min_wait);
        let half = doubled.unwrap_or(most).min(most);
        let nanos = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX);
        half.saturating_add(Duration::from_nanos(rng.next_range(0..nanos)))
            .min(self.max_wait)
    }

    pub(super) fn validate(&self) -> Result<(), InvalidPolicy> {
        InvalidPolicy::ensure(
            self.consecutive != Some(0),
            "the number of consecutive failures must be at least 1",
        )?;
        let rates = [
            self.within.map(|rule| rule.rate),
            self.over.map(|rule| rule.rate),
        ];
        let sane = rates
            .into_iter()
            .flatten()
            .all(|rate| (0.0..=1.0).contains(&rate));
        InvalidPolicy::ensure(sane, "a success rate must be a number from 0 to 1")?;
        // The window moves in ten steps of at least a nanosecond.
        let sane = self
            .within
            .is_none_or(|rule| rule.window >= Duration::from_nanos(10));
        InvalidPolicy::ensure(sane, "the window of a success rate must be more than zero")?;
        InvalidPolicy::ensure(
            self.min_wait <= self.max_wait,
            "the minimum wait must not exceed the maximum",
        )
    }
}

impl Default for AccrualConfig {
    fn default() -> Self {
        Self {
            consecutive: Some(5),
            cancelled_after: Some(Duration::from_millis(500)),
            within: Some(Within {
                rate: 0.8,
                window: Duration::from_secs(30),
                min_requests: 5,
            }),
            over: None,
            min_wait: Duration::from_secs(5),
            max_wait: Duration::from_secs(300),
        }
    }
}

#[cfg(test)]
mod tests {
    use tower_util::rng::SplitMix;

    use super::*;

    #[test]
    fn waits_double_up_to_the_maximum_with_jitter() {
        let mut rng = SplitMix::with_seed(1);
        let config = AccrualConfig::default();
        for (failed, min, max) in [
            (0, 5, 10),
            (1, 10, 20),
            (2, 20, 40),
            (5, 150, 300),
            (6, 150, 300),
            (u32::MAX, 150, 300),
        ] {
            let waits: Vec<_> = (0..1000)
                .map(|_| config.wait(failed, &mut rng).as_secs_f64())
                .collect();
            let (least, longest) = waits
                .iter()
                .fold((f64::MAX, 0.0_f64), |(a, b), w| (a.min(*w), b.max(*w)));
            assert!(
                f64::from(min) <= least && longest <= f64::from(max),
                "{least} to {longest}"
            );
            assert!(
                longest - least > 0.9 * f64::from(max - min),
                "{least} to {longest}"
            );
        }
        let fixed = AccrualConfig::default().backoff(Duration::MAX, Duration::MAX);
        assert_eq!(fixed.wait(9, &mut rng), Duration::MAX);
        let none = AccrualConfig::default().backoff(Duration::ZERO, Duration::ZERO);
        assert_eq!(none.wait(9, &mut rng), Duration::ZERO);
    }

    #[test]
    fn configurations_out_of_range_are_rejected() {
        let config = AccrualConfig::default;
        let second = Duration::from_secs(1);
        for config in [
            config().consecutive(0),
            config().success_rate_within(1.1, second, 1),
            config().success_rate_within(0.5, Duration::ZERO, 1),
            config().success_rate_over(f64::NAN, 1),
            config().backoff(second, Duration::ZERO),
        ] {
            assert!(config.validate().is_err(), "{config:?}");
        }
    }
}
