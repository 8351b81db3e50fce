use std::time::Duration;

use tower_util::InvalidPolicy;
use tower_util::backoff::{Jitter, Schedule};

use super::window::MIN_WINDOW;

/// When a breaker opens, for how long, and how it is probed. Any one of the rules opens it.
///
/// | setting | [`standard`](Self::standard) | [`sensitive`](Self::sensitive) | [`tolerant`](Self::tolerant) |
/// |---|---|---|---|
/// | consecutive failures | 5 | 3 | none |
/// | failure ratio | 50 % | 25 % | 75 % |
/// | slow calls | none | none | none |
/// | window; minimum of requests in it | 30 s; 20 | 10 s; 10 | 60 s; 50 |
/// | open time | 5 to 10 s, doubled up to 300 s | 2.5 to 5 s, doubled up to 60 s | as `standard` |
/// | longest pushback that is followed | 300 s | 300 s | 300 s |
/// | probes at a time; successes that close it | 1; 1 | 1; 3 | 3; 3 |
/// | time after which a probe no longer counts | 60 s | 60 s | 60 s |
#[derive(Debug, Clone)]
pub struct BreakerPolicy {
    pub(super) consecutive: Option<u32>,
    pub(super) failure_ratio: Option<f64>,
    pub(super) slow: Option<Slow>,
    pub(super) window: Duration,
    pub(super) min_requests: u32,
    pub(super) open_time: Schedule,
    pub(super) max_pushback: Duration,
    pub(super) probes: u32,
    pub(super) successes: u32,
    pub(super) max_probe_time: Duration,
}

/// The rule for slow calls.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slow {
    pub(super) ratio: f64,
    pub(super) threshold: Duration,
}

impl BreakerPolicy {
    /// Creates a policy without rules: the breaker opens only when it is forced to. Add the rules that you need.
    pub fn never() -> Self {
        Self {
            consecutive: None,
            failure_ratio: None,
            slow: None,
            window: Duration::from_secs(30),
            min_requests: 20,
            open_time: half_fixed(Duration::from_secs(10), Duration::from_secs(300)),
            max_pushback: Duration::from_secs(300),
            probes: 1,
            successes: 1,
            max_probe_time: Duration::from_secs(60),
        }
    }

    /// The default policy.
    pub fn standard() -> Self {
        Self::never().consecutive_failures(5).failure_ratio(0.5)
    }

    /// Opens early and for a short time, for a service whose failures are expensive or that has a fallback.
    pub fn sensitive() -> Self {
        Self {
            open_time: half_fixed(Duration::from_secs(5), Duration::from_secs(60)),
            successes: 3,
            ..Self::never()
                .consecutive_failures(3)
                .failure_ratio(0.25)
                .window(Duration::from_secs(10), 10)
        }
    }

    /// Opens only after many failures, for a service of which some requests often fail.
    pub fn tolerant() -> Self {
        Self::never()
            .failure_ratio(0.75)
            .window(Duration::from_secs(60), 50)
            .probes(3, 3)
    }

    /// Opens after this number of consecutive failures.
    #[must_use]
    pub fn consecutive_failures(mut self, failures: u32) -> Self {
        self.consecutive = Some(failures);
        self
    }

    /// Opens when at least this share of the requests in the [window](Self::window) have failed: more than 0, at most 1.
    #[must_use]
    pub fn failure_ratio(mut self, ratio: f64) -> Self {
        self.failure_ratio = Some(ratio);
        self
    }

    /// Opens when at least the share `ratio` of the requests in the [window](Self::window) were slow: took at least
    /// `threshold`, whatever their result. The ratio is more than 0 and at most 1.
    ///
    /// A request that is cancelled after that time, for instance by a timeout above the breaker, was slow too. So with
    /// this rule a service that never responds opens the breaker. A slow probe counts as failed.
    ///
    /// The time begins with the call, and ends when the response is ready; the body of a response is not included. With
    /// this rule, each request reads the clock twice.
    #[must_use]
    pub fn slow_calls(mut self, ratio: f64, threshold: Duration) -> Self {
        self.slow = Some(Slow { ratio, threshold });
        self
    }

    /// Sets the time over which the ratios of failures and of slow calls are taken, and how many requests must have
    /// ended in it before they are used. The window moves in ten steps. By default 30 seconds and 20.
    #[must_use]
    pub fn window(mut self, window: Duration, min_requests: u32) -> Self {
        (self.window, self.min_requests) = (window, min_requests);
        self
    }

    /// Sets how long the breaker is open: the n-th delay of the schedule the n-th time that it opens without having
    /// closed in between; the last one if there are no more. By default
    /// `Schedule::exponential(10 s, 300 s).with_jitter(Jitter::Equal)`, which is 5 to 10 seconds at first and twice that
    /// after each failed probe.
    #[must_use]
    pub fn open_time(mut self, schedule: Schedule) -> Self {
        self.open_time = schedule;
        self
    }

    /// Sets the longest time for which the breaker is open because the service asks for it: if the failure that opens it
    /// has a [pushback](tower_classify::Failure::pushback) of more than zero (`retry-after`, `grpc-retry-pushback-ms`),
    /// the breaker is open for exactly that time, but at most for `max`. By default 300 seconds; with zero, pushbacks
    /// are ignored.
    #[must_use]
    pub fn max_pushback(mut self, max: Duration) -> Self {
        self.max_pushback = max;
        self
    }

    /// Sets how many probes may be in flight at a time, and how many successful ones close the breaker. A failed probe
    /// opens it again. By default 1 and 1.
    #[must_use]
    pub fn probes(mut self, at_a_time: u32, successes: u32) -> Self {
        (self.probes, self.successes) = (at_a_time, successes);
        self
    }

    /// Sets how long a probe keeps its place. If it takes longer, it no longer counts, and the next request is the probe, so
    /// that one that hangs does not keep the breaker half-open. By default 60 seconds.
    #[must_use]
    pub fn max_probe_time(mut self, time: Duration) -> Self {
        self.max_probe_time = time;
        self
    }

    /// Returns whether there is a rule about the requests in the window.
    pub(crate) const fn has_window(&self) -> bool {
        self.failure_ratio.is_some() || self.slow.is_some()
    }

    /// Returns the time from which on a call is slow, if there is such a rule.
    pub(crate) const fn slow_threshold(&self) -> Option<Duration> {
        match self.slow {
            Some(rule) => Some(rule.threshold),
            None => None,
        }
    }

    pub(crate) fn validate(&self) -> Result<(), InvalidPolicy> {
        InvalidPolicy::ensure(
            self.consecutive != Some(0),
            "the number of consecutive failures must be at least 1",
        )?;
        let ratios = [self.failure_ratio, self.slow.map(|rule| rule.ratio)];
        InvalidPolicy::ensure(
            ratios.into_iter().flatten().all(|it| it > 0.0 && it <= 1.0),
            "a ratio must be more than 0 and at most 1",
        )?;
        InvalidPolicy::ensure(
            self.window >= MIN_WINDOW,
            "the window must be more than zero",
        )?;
        InvalidPolicy::ensure(
            self.probes > 0 && self.successes > 0,
            "the numbers of probes and of successes must be at least 1",
        )?;
        InvalidPolicy::ensure(
            !self.max_probe_time.is_zero(),
            "the time of a probe must be more than zero",
        )
    }
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        Self::standard()
    }
}

/// From `first / 2` to `first`, doubled up to `max`.
fn half_fixed(first: Duration, max: Duration) -> Schedule {
    Schedule::exponential(first, max).with_jitter(Jitter::Equal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_out_of_range_are_rejected() {
        let second = Duration::from_secs(1);
        for policy in [
            BreakerPolicy::never().consecutive_failures(0),
            BreakerPolicy::never().failure_ratio(0.0),
            BreakerPolicy::never().failure_ratio(1.1),
            BreakerPolicy::never().failure_ratio(f64::NAN),
            BreakerPolicy::never().slow_calls(-1.0, second),
            BreakerPolicy::never().window(Duration::from_nanos(9), 1),
            BreakerPolicy::never().probes(0, 1),
            BreakerPolicy::never().probes(1, 0),
            BreakerPolicy::never().max_probe_time(Duration::ZERO),
        ] {
            assert!(policy.validate().is_err(), "{policy:?}");
        }
        for policy in [
            BreakerPolicy::never(),
            BreakerPolicy::standard(),
            BreakerPolicy::sensitive(),
            BreakerPolicy::tolerant(),
        ] {
            assert_eq!(policy.validate(), Ok(()));
        }
    }
}
