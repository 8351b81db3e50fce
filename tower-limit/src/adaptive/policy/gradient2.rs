use std::time::Duration;

use tokio::time::Instant;
use tower_util::InvalidPolicy;

use super::bounds::{Bounds, bounded};
use super::{Limit, is_used};

/// Compares each latency with a long-term average: the limit falls as soon as requests take much longer than usual, and otherwise
/// grows slowly.
///
/// It needs no measurement at a low limit, and follows a service whose latency changes for good. For the same reason it takes an
/// overload that lasts for what is usual. If the requests are alike, it then rises to its ceiling: choose one that the service
/// survives. If they differ much, the slow ones lower it.
///
/// # Implementation notes
///
/// As `Gradient2Limit` of Netflix's [concurrency-limits](https://github.com/Netflix/concurrency-limits), with its defaults:
///
/// ```text
/// gradient = tolerance × long average ÷ latency, from 0.5 to 1
/// limit = (1 - smoothing) × limit + smoothing × (gradient × limit + queue)
/// ```
///
/// There, drops are ignored. Here a drop counts as the lowest gradient, and adds no queue: by default it takes a tenth off the
/// limit.
#[derive(Clone, Debug)]
pub struct Gradient2 {
    config: Gradient2Config,
    limit: f64,
    /// The average of the first [`WARM_UP`] latencies in seconds, then exponential.
    long: f64,
    samples: u32,
}

/// The configuration of a [`Gradient2`].
#[derive(Clone, Debug)]
pub struct Gradient2Config {
    bounds: Bounds,
    smoothing: f64,
    queue: usize,
    window: u32,
    tolerance: f64,
}

bounded!(Gradient2Config, 20, 20, 200);

impl Gradient2Config {
    /// Sets how much of a change is made with one response: more than 0, up to 1 for all of it. By default 0.2.
    #[must_use]
    pub const fn smoothing(mut self, smoothing: f64) -> Self {
        self.smoothing = smoothing;
        self
    }

    /// Sets how many requests may queue in the service: the limit grows by as many while latencies are low. By default 4.
    #[must_use]
    pub const fn queue(mut self, queue: usize) -> Self {
        self.queue = queue;
        self
    }

    /// Sets the number of responses over which the long-term average is taken: at least 1. By default 600.
    #[must_use]
    pub const fn window(mut self, responses: u32) -> Self {
        self.window = responses;
        self
    }

    /// Sets how many times the average a response may take before the limit falls: from 1 to 100. By default 1.5.
    #[must_use]
    pub const fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }
}

impl Default for Gradient2Config {
    fn default() -> Self {
        Self {
            bounds: Self::BOUNDS,
            smoothing: 0.2,
            queue: 4,
            window: 600,
            tolerance: 1.5,
        }
    }
}

impl Gradient2 {
    /// Creates the policy.
    ///
    /// # Errors
    ///
    /// If a parameter is out of its range.
    pub fn try_new(config: Gradient2Config) -> Result<Self, InvalidPolicy> {
        config.bounds.validate()?;
        InvalidPolicy::ensure(
            config.smoothing > 0.0 && config.smoothing <= 1.0,
            "the smoothing of a limit is a number above 0, up to 1",
        )?;
        InvalidPolicy::ensure(
            config.queue <= crate::adaptive::MAX_LIMIT,
            "the queue of a limit is at most 2^30",
        )?;
        InvalidPolicy::ensure(config.window > 0, "the window of an average is not empty")?;
        InvalidPolicy::ensure(
            (1.0..=100.0).contains(&config.tolerance),
            "the tolerance of a limit is a number from 1 to 100",
        )?;
        Ok(Self::new(config))
    }

    const fn new(config: Gradient2Config) -> Self {
        Self {
            limit: config.bounds.initial as f64,
            config,
            long: 0.0,
            samples: 0,
        }
    }

    /// Adds a latency to the long-term average.
    fn learn(&mut self, latency: f64) {
        let weight = if self.samples < WARM_UP {
            self.samples += 1;
            1.0 / f64::from(self.samples)
        } else {
            2.0 / (f64::from(self.config.window) + 1.0)
        };
        self.long += (latency - self.long) * weight;
        // After an overload the average would take long to come down by itself.
        if self.long > 2.0 * latency {
            self.long *= RECOVERY;
        }
    }
}

impl Default for Gradient2 {
    fn default() -> Self {
        Self::new(Gradient2Config::default())
    }
}

impl Limit for Gradient2 {
    fn sample(&mut self, _now: Instant, rtt: Duration, in_flight: usize, dropped: bool) {
        let next = if dropped {
            self.limit * STEEPEST
        } else {
            let latency = rtt.as_secs_f64().max(SHORTEST);
            self.learn(latency);
            if !is_used(self.limit, in_flight) {
                return;
            }
            let gradient = (self.config.tolerance * self.long / latency).clamp(STEEPEST, 1.0);
            self.limit * gradient + self.config.queue as f64
        };
        let next = self.limit + (next - self.limit) * self.config.smoothing;
        self.limit = self.config.bounds.clamp_f64(next);
    }

    fn limit(&self) -> usize {
        self.limit as usize
    }
}

/// The lowest gradient, so that a single slow response takes off no more than that.
const STEEPEST: f64 = 0.5;
/// The number of responses until the average is exponential.
const WARM_UP: u32 = 10;
/// By what the average is multiplied when it is more than twice as high as a latency.
const RECOVERY: f64 = 0.95;
/// Seconds that any request takes: paused clocks, and coarse ones, measure zero.
const SHORTEST: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn follows_the_formula() {
        let (mut limit, now) = (Gradient2::default(), Instant::now());
        // As long as usual: 0.8 × 20 + 0.2 × (20 + 4).
        limit.sample(now, ms(10), 20, false);
        assert_eq!(limit.limit, 20.8);
        // The average of 10 and 50 is 30, the gradient 0.9: 0.8 × 20.8 + 0.2 × (18.72 + 4).
        limit.sample(now, ms(50), 20, false);
        assert!((limit.limit - 21.184).abs() < 1e-9, "{}", limit.limit);
        // 0.9 × 21.184 is below the floor.
        limit.sample(now, ms(10), 20, true);
        assert_eq!(limit.limit, 20.0);
    }

    #[test]
    fn a_drop_takes_off_a_tenth_by_default() {
        let config = Gradient2Config::default().initial(100);
        let mut limit = Gradient2::try_new(config).unwrap();
        limit.sample(Instant::now(), ms(1), 1, true);
        assert_eq!(limit.limit(), 90);
    }

    #[test]
    fn the_average_is_exponential_after_ten_responses_and_comes_down_fast() {
        let (mut limit, now) = (Gradient2::default(), Instant::now());
        for latency in 1..=10 {
            limit.sample(now, ms(latency * 10), 0, false);
        }
        assert!((limit.long - 0.055).abs() < 1e-12);
        limit.sample(now, ms(355), 0, false);
        assert!((limit.long - (0.055 + 0.3 * 2.0 / 601.0)).abs() < 1e-12);
        let before = limit.long;
        limit.sample(now, ms(20), 0, false);
        let expected = (before + (0.02 - before) * 2.0 / 601.0) * 0.95;
        assert!((limit.long - expected).abs() < 1e-12);
    }

    #[test]
    fn an_idle_service_does_not_raise_it() {
        let (mut limit, now) = (Gradient2::default(), Instant::now());
        limit.sample(now, ms(10), 9, false);
        assert_eq!(limit.limit(), 20);
    }

    #[test]
    fn invalid_parameters_are_errors() {
        let config = Gradient2Config::default;
        for config in [
            config().limits(0..=20),
            config().smoothing(0.0),
            config().smoothing(1.1),
            config().smoothing(f64::NAN),
            config().queue(usize::MAX),
            config().window(0),
            config().tolerance(0.9),
            config().tolerance(f64::INFINITY),
        ] {
            assert!(Gradient2::try_new(config.clone()).is_err(), "{config:?}");
        }
        assert!(Gradient2::try_new(config()).is_ok());
    }
}
