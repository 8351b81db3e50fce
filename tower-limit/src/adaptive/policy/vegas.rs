use std::time::Duration;

use tokio::time::Instant;
use tower_util::InvalidPolicy;
use tower_util::rng::{Rng, SplitMix};

use super::bounds::{Bounds, bounded};
use super::{Limit, is_used};

/// Estimates from latency how many of the requests in flight are queued in the service, as TCP Vegas does, and keeps that number
/// small.
///
/// The latency without a queue is the lowest that was seen since the last probe. A probe takes any latency for it, so each probe
/// within an overload raises the limit. The lowest of single latencies is too low if the requests differ in how long they take:
/// [`Windowed`](super::Windowed) averages them.
///
/// # Implementation notes
///
/// As `VegasLimit` of Netflix's [concurrency-limits](https://github.com/Netflix/concurrency-limits), with its defaults. With
/// `log` the decimal logarithm of the limit, rounded down and at least 1:
///
/// ```text
/// queue = limit × (1 - lowest latency ÷ latency), rounded up
/// queue ≤ log: limit + 6 × log;  queue < 3 × log: limit + log;  queue > 6 × log, or a drop: limit - log
/// ```
///
/// There, the latency of a drop counts as well, so that a server that refuses fast seems fast. Here it does not. And there `log` is the
/// square root of a limit from 1000 on.
#[derive(Clone, Debug)]
pub struct Vegas {
    config: VegasConfig,
    limit: f64,
    /// The lowest latency in seconds.
    lowest: Option<f64>,
    /// The responses since the last probe.
    responses: f64,
    /// The number of responses to the next probe, in multiples of the limit.
    probe_after: f64,
    rng: SplitMix,
}

/// The configuration of a [`Vegas`].
#[derive(Clone, Debug)]
pub struct VegasConfig {
    bounds: Bounds,
    smoothing: f64,
    probe: f64,
    seed: Option<u64>,
}

bounded!(VegasConfig, 1, 20, 1000);

impl VegasConfig {
    /// Sets how much of a change is made with one response: more than 0, up to 1 for all of it. By default 1.
    #[must_use]
    pub const fn smoothing(mut self, smoothing: f64) -> Self {
        self.smoothing = smoothing;
        self
    }

    /// Sets after how many responses the lowest latency is forgotten, in multiples of the limit: at least 1. By default 30. Half
    /// of the interval is random, so that clients of one server do not probe at once.
    #[must_use]
    pub const fn probe_after(mut self, limits: f64) -> Self {
        self.probe = limits;
        self
    }

    /// Sets the seed of the random intervals. By default it is random.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }
}

impl Default for VegasConfig {
    fn default() -> Self {
        Self {
            bounds: Self::BOUNDS,
            smoothing: 1.0,
            probe: 30.0,
            seed: None,
        }
    }
}

impl Vegas {
    /// Creates the policy.
    ///
    /// # Errors
    ///
    /// If a parameter is out of its range.
    pub fn try_new(config: VegasConfig) -> Result<Self, InvalidPolicy> {
        config.bounds.validate()?;
        InvalidPolicy::ensure(
            config.smoothing > 0.0 && config.smoothing <= 1.0,
            "the smoothing of a limit is a number above 0, up to 1",
        )?;
        InvalidPolicy::ensure(
            (1.0..=1e9).contains(&config.probe),
            "the interval of probes is a number from 1 to 10^9",
        )?;
        Ok(Self::new(config))
    }

    fn new(config: VegasConfig) -> Self {
        let mut vegas = Self {
            limit: config.bounds.initial as f64,
            lowest: None,
            responses: 0.0,
            probe_after: 0.0,
            rng: config.seed.map_or_else(SplitMix::new, SplitMix::with_seed),
            config,
        };
        vegas.schedule_probe();
        vegas
    }

    fn schedule_probe(&mut self) {
        self.responses = 0.0;
        self.probe_after = self.config.probe * (0.5 + self.rng.next_f64() / 2.0);
    }

    /// Returns the limit that a response asks for, if another one.
    fn next(&mut self, latency: f64, in_flight: usize) -> Option<f64> {
        self.responses += 1.0;
        if self.responses >= self.probe_after * self.limit {
            self.schedule_probe();
            self.lowest = None;
        }
        let lowest = match self.lowest {
            Some(lowest) if lowest <= latency => lowest,
            _ => {
                self.lowest = Some(latency);
                return None;
            }
        };
        if !is_used(self.limit, in_flight) {
            return None;
        }
        let log = log(self.limit);
        let queue = (self.limit * (1.0 - lowest / latency)).ceil();
        if queue <= log {
            Some(self.limit + 6.0 * log)
        } else if queue < 3.0 * log {
            Some(self.limit + log)
        } else if queue > 6.0 * log {
            Some(self.limit - log)
        } else {
            None
        }
    }
}

impl Default for Vegas {
    fn default() -> Self {
        Self::new(VegasConfig::default())
    }
}

impl Limit for Vegas {
    fn sample(&mut self, _now: Instant, rtt: Duration, in_flight: usize, dropped: bool) {
        let next = if dropped {
            Some(self.limit - log(self.limit))
        } else {
            self.next(rtt.as_secs_f64().max(SHORTEST), in_flight)
        };
        if let Some(next) = next {
            let next = self.limit + (next - self.limit) * self.config.smoothing;
            self.limit = self.config.bounds.clamp_f64(next);
        }
    }

    fn limit(&self) -> usize {
        self.limit as usize
    }
}

fn log(limit: f64) -> f64 {
    limit.log10().floor().max(1.0)
}

/// Seconds that any request takes: paused clocks, and coarse ones, measure zero.
const SHORTEST: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use super::*;

    fn vegas(config: VegasConfig) -> impl FnMut(u64, usize, bool) -> usize {
        let mut vegas = Vegas::try_new(config.seed(1)).unwrap();
        let now = Instant::now();
        move |ms, in_flight, dropped| {
            vegas.sample(now, Duration::from_millis(ms), in_flight, dropped);
            vegas.limit()
        }
    }

    #[test]
    fn keeps_the_queue_between_three_and_six() {
        let mut sample = vegas(VegasConfig::default());
        assert_eq!(sample(10, 20, false), 20, "the first is the lowest");
        assert_eq!(sample(10, 20, false), 26, "no queue");
        assert_eq!(sample(10, 26, false), 32, "no queue");
        // 32 × (1 - 10 ÷ 10.5) is 1.5, for milliseconds: 11 gives 2.9, rounded up 3.
        assert_eq!(sample(11, 32, false), 32, "a queue of 3");
        assert_eq!(sample(12, 32, false), 32, "a queue of 5.3");
        assert_eq!(sample(13, 32, false), 31, "a queue of 7.4");
        assert_eq!(sample(20, 31, false), 30);
        assert_eq!(sample(9, 30, false), 30, "a new lowest");
        assert_eq!(sample(9, 14, false), 30, "less than half is in use");
    }

    #[test]
    fn a_drop_lowers_it_and_its_latency_does_not_count() {
        let mut sample = vegas(VegasConfig::default().initial(200).limits(5..=1000));
        assert_eq!(sample(10, 200, false), 200);
        assert_eq!(sample(1, 200, true), 198, "by the logarithm of 200");
        assert_eq!(sample(10, 198, false), 210, "10 is still the lowest");
    }

    #[test]
    fn a_small_queue_raises_it_by_one() {
        // A queue of 2: 20 × (1 - 100 ÷ 110) = 1.8.
        let mut sample = vegas(VegasConfig::default());
        sample(100, 20, false);
        assert_eq!(sample(110, 20, false), 21);
    }

    #[test]
    fn a_probe_forgets_the_lowest_latency() {
        let mut sample = vegas(VegasConfig::default().limits(20..=20).probe_after(2.0));
        sample(10, 20, false);
        let mut vegas =
            Vegas::try_new(VegasConfig::default().limits(20..=20).probe_after(2.0)).unwrap();
        let now = Instant::now();
        vegas.sample(now, Duration::from_millis(10), 20, false);
        let slow = Duration::from_millis(50);
        let probed = (1..).find(|_| {
            vegas.sample(now, slow, 20, false);
            vegas.lowest == Some(slow.as_secs_f64())
        });
        // From 1 to 2 limits of 20 responses, of which one came before.
        assert!((19..=39).contains(&probed.unwrap()), "{probed:?}");
    }

    #[test]
    fn invalid_parameters_are_errors() {
        let config = VegasConfig::default;
        for config in [
            config().limits(0..=20),
            config().smoothing(0.0),
            config().smoothing(1.1),
            config().probe_after(0.5),
            config().probe_after(f64::NAN),
        ] {
            assert!(Vegas::try_new(config.clone()).is_err(), "{config:?}");
        }
        assert!(Vegas::try_new(config()).is_ok());
    }
}
