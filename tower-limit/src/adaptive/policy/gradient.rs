use std::time::Duration;

use tokio::time::Instant;
use tower_util::InvalidPolicy;
use tower_util::rng::{Rng, SplitMix};

use super::bounds::{Bounds, bounded};
use super::histogram::Histogram;
use super::{Limit, is_used};

/// Compares latencies with those at a very low limit, which it measures now and then: the only one of these policies that knows
/// what an overloaded service would do without load.
///
/// While it measures, the limit is at its floor, for the time of a few requests: by default 50 requests per minute, at most three
/// at a time. Then the limit is what it was. It measures first of all, so the initial limit holds only after that.
///
/// # Implementation notes
///
/// As the gradient controller of
/// [Envoy](https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/adaptive_concurrency_filter), with the
/// parameters of the example there. With quantiles of the latencies, each 100 ms:
///
/// ```text
/// gradient = 1.25 × latency at the floor ÷ latency, from 0.5 to 2
/// limit = gradient × limit + √(gradient × limit), rounded down
/// ```
///
/// If the limit is at its floor five times in a row, it measures again: the service may have become slower. Three things differ
/// from Envoy: the limit does not rise while less than half of it is in use, a drop counts as a response that takes forever (in a
/// measurement it does not count), and there is an initial limit other than the floor.
#[derive(Clone, Debug)]
pub struct Gradient {
    config: GradientConfig,
    limit: usize,
    phase: Phase,
    /// The latencies of this phase, or of its current interval.
    latencies: Histogram,
    rng: SplitMix,
}

#[derive(Clone, Debug)]
enum Phase {
    /// Measures latencies at the floor.
    Measuring {
        /// When the limit fell to the floor. Requests that began before do not count. `None` until the first request ends, before
        /// which no other limit was in force.
        since: Option<Instant>,
    },
    Running(Run),
}

#[derive(Clone, Debug)]
struct Run {
    /// The latency at the floor, in nanoseconds, with the buffer.
    ideal: f64,
    /// When the interval ends.
    update_at: Instant,
    measure_at: Instant,
    /// The most requests in flight in this interval.
    most: usize,
    /// How many intervals in a row have left the limit at its floor.
    at_floor: u32,
}

/// The configuration of a [`Gradient`].
#[derive(Clone, Debug)]
pub struct GradientConfig {
    bounds: Bounds,
    interval: Duration,
    quantile: f64,
    buffer: f64,
    measure_every: Duration,
    jitter: f64,
    requests: u32,
    seed: Option<u64>,
}

bounded!(GradientConfig, 3, 20, 1000);

impl GradientConfig {
    /// Sets how often the limit is changed. By default each 100 ms, if there were responses.
    #[must_use]
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Sets which latencies are compared: from 0, the shortest, to 1, the longest. By default 0.9.
    #[must_use]
    pub const fn quantile(mut self, quantile: f64) -> Self {
        self.quantile = quantile;
        self
    }

    /// Sets by how much of the latency at the floor it may be exceeded before the limit falls: from 0 to 100. By default 0.25.
    #[must_use]
    pub const fn buffer(mut self, buffer: f64) -> Self {
        self.buffer = buffer;
        self
    }

    /// Sets how often the latency at the floor is measured. By default each 60 seconds.
    #[must_use]
    pub const fn measure_every(mut self, period: Duration) -> Self {
        self.measure_every = period;
        self
    }

    /// Sets by how much of it that period is prolonged at most, at random, so that clients of one server do not measure at once:
    /// from 0 to 1. By default 0.1.
    #[must_use]
    pub const fn jitter(mut self, jitter: f64) -> Self {
        self.jitter = jitter;
        self
    }

    /// Sets how many requests a measurement takes: at least 1. By default 50.
    #[must_use]
    pub const fn measured_requests(mut self, requests: u32) -> Self {
        self.requests = requests;
        self
    }

    /// Sets the seed of the jitter. By default it is random.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }
}

impl Default for GradientConfig {
    fn default() -> Self {
        Self {
            bounds: Self::BOUNDS,
            interval: Duration::from_millis(100),
            quantile: 0.9,
            buffer: 0.25,
            measure_every: Duration::from_secs(60),
            jitter: 0.1,
            requests: 50,
            seed: None,
        }
    }
}

impl Gradient {
    /// Creates the policy.
    ///
    /// # Errors
    ///
    /// If a parameter is out of its range.
    pub fn try_new(config: GradientConfig) -> Result<Self, InvalidPolicy> {
        config.bounds.validate()?;
        InvalidPolicy::ensure(
            !config.interval.is_zero() && config.interval <= LONGEST,
            "the interval of a limit is more than zero, and at most a year",
        )?;
        InvalidPolicy::ensure(
            !config.measure_every.is_zero() && config.measure_every <= LONGEST,
            "the period of measurements is more than zero, and at most a year",
        )?;
        InvalidPolicy::ensure(
            (0.0..=1.0).contains(&config.quantile),
            "a quantile is a number from 0 to 1",
        )?;
        InvalidPolicy::ensure(
            (0.0..=100.0).contains(&config.buffer),
            "the buffer of a limit is a number from 0 to 100",
        )?;
        InvalidPolicy::ensure(
            (0.0..=1.0).contains(&config.jitter),
            "the jitter of a limit is a number from 0 to 1",
        )?;
        InvalidPolicy::ensure(
            config.requests > 0,
            "a measurement takes at least one request",
        )?;
        Ok(Self::new(config))
    }

    fn new(config: GradientConfig) -> Self {
        Self {
            limit: config.bounds.initial,
            phase: Phase::Measuring { since: None },
            latencies: Histogram::new(),
            rng: config.seed.map_or_else(SplitMix::new, SplitMix::with_seed),
            config,
        }
    }

    fn measure(&mut self, since: Instant) {
        self.latencies.clear();
        self.phase = Phase::Measuring { since: Some(since) };
    }

    // ## Measuring => Running
    fn end_measurement(&mut self, now: Instant) {
        let Some(latency) = self.latencies.quantile(self.config.quantile) else {
            return;
        };
        let jitter = 1.0 + self.config.jitter * self.rng.next_f64();
        self.latencies.clear();
        self.phase = Phase::Running(Run {
            ideal: latency * (1.0 + self.config.buffer),
            update_at: now + self.config.interval,
            measure_at: now + self.config.measure_every.mul_f64(jitter),
            most: 0,
            at_floor: 0,
        });
    }
}

impl Default for Gradient {
    fn default() -> Self {
        Self::new(GradientConfig::default())
    }
}

impl Run {
    /// Ends an interval with this latency: returns the next limit.
    fn update(
        &mut self,
        now: Instant,
        latency: f64,
        limit: usize,
        config: &GradientConfig,
    ) -> usize {
        self.update_at = now + config.interval;
        let is_used = is_used(limit as f64, std::mem::take(&mut self.most));
        // Both are zero while a clock is paused.
        let gradient = (self.ideal.max(1.0) / latency.max(1.0)).clamp(0.5, 2.0);
        let scaled = limit as f64 * gradient;
        let next = config.bounds.clamp((scaled + scaled.sqrt()) as usize);
        if next > limit && !is_used {
            return limit;
        }
        let floor = config.bounds.floor();
        self.at_floor = if limit == floor && next == floor {
            self.at_floor + 1
        } else {
            0
        };
        next
    }
}

impl Limit for Gradient {
    fn sample(&mut self, now: Instant, rtt: Duration, in_flight: usize, dropped: bool) {
        if let Phase::Running(run) = &mut self.phase {
            if now >= run.update_at
                && let Some(latency) = self.latencies.quantile(self.config.quantile)
            {
                self.limit = run.update(now, latency, self.limit, &self.config);
                self.latencies.clear();
            }
            // ## Running => Measuring
            if now >= run.measure_at || run.at_floor >= FLOORS {
                self.measure(now);
            }
        }
        match &mut self.phase {
            Phase::Measuring { since } => {
                let began_before =
                    since.is_some_and(|since| now.saturating_duration_since(since) < rtt);
                if dropped || began_before {
                    return;
                }
                self.latencies.record(rtt);
                if self.latencies.total() >= self.config.requests {
                    self.end_measurement(now);
                }
            }
            Phase::Running(run) => {
                run.most = run.most.max(in_flight);
                if self.latencies.is_full() {
                    return;
                }
                if dropped {
                    self.latencies.record_endless();
                } else {
                    self.latencies.record(rtt);
                }
            }
        }
    }

    fn limit(&self) -> usize {
        match &self.phase {
            Phase::Measuring { .. } => self.config.bounds.floor(),
            Phase::Running(_) => self.limit,
        }
    }
}

/// After this many intervals at the floor, the latency there is measured again.
const FLOORS: u32 = 5;
/// The clock can represent twice as much from now on.
const LONGEST: Duration = Duration::from_secs(60 * 60 * 24 * 365);

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(100);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A policy whose clock goes on by the latency with each sample.
    struct Script {
        policy: Gradient,
        now: Instant,
    }

    impl Script {
        fn new(config: GradientConfig) -> Self {
            let policy = Gradient::try_new(config.seed(1).jitter(0.0)).unwrap();
            let now = Instant::now();
            Self { policy, now }
        }

        fn measure(&mut self, latency: Duration) {
            for _ in 0..50 {
                assert_eq!(self.policy.limit(), 3);
                self.now += latency;
                self.policy.sample(self.now, latency, 3, false);
            }
        }

        /// An interval with 10 responses and drops. Returns the limit at its end.
        fn interval(&mut self, latency: Duration, in_flight: usize, drops: usize) -> usize {
            for number in 0..10 {
                self.policy
                    .sample(self.now, latency, in_flight, number < drops);
            }
            self.now += INTERVAL;
            // The interval ends with the next sample, which belongs to the next one.
            let mut ended = self.policy.clone();
            ended.sample(self.now, latency, in_flight, false);
            ended.limit()
        }
    }

    #[test]
    fn measures_at_the_floor_and_begins_with_the_initial_limit() {
        let mut script = Script::new(GradientConfig::default());
        script.measure(ms(10));
        assert_eq!(script.policy.limit(), 20);
    }

    #[test]
    fn follows_the_formula() {
        let mut script = Script::new(GradientConfig::default());
        script.measure(ms(10));
        // The latencies are in buckets of 1 %, which makes no difference here.
        // 10 ms × 1.25 ÷ 10 ms: 25 + 5.
        assert_eq!(script.interval(ms(10), 20, 0), 30);
        // 12.5 ÷ 20: 18.75 + 4.3.
        assert_eq!(script.interval(ms(20), 30, 0), 23);
        // At least a half: 11.5 + 3.4.
        assert_eq!(script.interval(ms(900), 23, 0), 14);
        // At most the double: 28 + 5.3.
        assert_eq!(script.interval(ms(1), 14, 0), 33);
        // The 90th percentile is a drop, which takes forever: 16.5 + 4.1.
        assert_eq!(script.interval(ms(1), 33, 2), 20);
        // It is not: 40 + 6.3.
        assert_eq!(script.interval(ms(1), 20, 1), 46);
    }

    #[test]
    fn rises_only_while_half_of_it_is_in_use() {
        let mut script = Script::new(GradientConfig::default());
        script.measure(ms(10));
        assert_eq!(script.interval(ms(10), 9, 0), 20);
        assert_eq!(script.interval(ms(30), 9, 0), 13);
    }

    #[test]
    fn measures_again_after_a_minute_without_requests_that_began_before() {
        let mut script = Script::new(GradientConfig::default());
        script.measure(ms(10));
        script.now += Duration::from_secs(60);
        script.policy.sample(script.now, ms(10), 20, false);
        assert_eq!(script.policy.limit(), 3);
        for _ in 0..99 {
            script.policy.sample(script.now + ms(10), ms(11), 20, false);
            script.policy.sample(script.now + ms(10), ms(1), 20, true);
        }
        assert_eq!(script.policy.limit(), 3, "they do not count");
        script.measure(ms(20));
        assert_eq!(script.policy.limit(), 20, "what it was");
        assert_eq!(script.interval(ms(20), 20, 0), 30, "20 ms are ideal now");
    }

    #[test]
    fn measures_again_after_five_intervals_at_the_floor() {
        let mut script = Script::new(GradientConfig::default().limits(3..=9).initial(3));
        script.measure(ms(10));
        for _ in 0..5 {
            assert!(matches!(script.policy.phase, Phase::Running(_)));
            script.interval(ms(100), 3, 0);
        }
        script.interval(ms(100), 3, 0);
        assert!(matches!(script.policy.phase, Phase::Measuring { .. }));
    }

    #[test]
    fn invalid_parameters_are_errors() {
        let config = GradientConfig::default;
        for config in [
            config().limits(0..=20),
            config().interval(Duration::ZERO),
            config().interval(Duration::MAX),
            config().measure_every(Duration::ZERO),
            config().measure_every(Duration::MAX),
            config().quantile(1.1),
            config().quantile(f64::NAN),
            config().buffer(-0.1),
            config().jitter(1.1),
            config().measured_requests(0),
        ] {
            assert!(Gradient::try_new(config.clone()).is_err(), "{config:?}");
        }
        assert!(Gradient::try_new(config()).is_ok());
    }
}
