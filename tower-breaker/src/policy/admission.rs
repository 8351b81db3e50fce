use std::time::Duration;

use tower_classify::{Class, FailureKind};
use tower_util::InvalidPolicy;

use super::MIN_WINDOW;

/// Decides with which probability a request is rejected, by the results of the recent ones.
pub trait AdmissionPolicy {
    /// Returns the time over which requests are counted. It moves in ten steps.
    fn window(&self) -> Duration;

    /// Returns whether the service has accepted the request: `Some(false)` if it has rejected it, and `None` if the
    /// result does not count.
    fn is_accepted(&self, class: Class) -> Option<bool>;

    /// Returns the probability with which the next request is rejected. Values outside of 0 to 1 are the same as these.
    fn rejection_probability(&self, counts: Counts) -> f64;

    /// Checks the settings; called once, when a layer is built.
    ///
    /// # Errors
    ///
    /// If a setting is out of range.
    fn validate(&self) -> Result<(), InvalidPolicy>;
}

/// The requests in the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// The number of requests that the service has accepted.
    pub accepted: u64,
    /// The number of requests that the service has rejected.
    pub refused: u64,
    /// The number of requests that were not sent, because the policy has rejected them.
    pub throttled: u64,
    /// How much of the window has passed since the first request, at least a second.
    pub covered: Duration,
}

impl Counts {
    /// Creates counts. `covered` is at least a second, in place of a shorter time.
    pub fn new(accepted: u64, refused: u64, throttled: u64, covered: Duration) -> Self {
        Self {
            accepted,
            refused,
            throttled,
            covered: covered.max(Duration::from_secs(1)),
        }
    }
}

/// Client-side throttling: rejects requests once the service accepts fewer than one in `K`, so that it receives about `K`
/// times as many requests as it accepts.
///
/// With K = 2, up to half of the requests may be rejected by the service before any is rejected here. A smaller K sends
/// less in vain, and takes longer to notice that the service accepts more again.
///
/// | result | counts as |
/// |---|---|
/// | success, or a failure of the kind `Internal` | accepted: the service has worked on it |
/// | any other failure, or unsent | rejected |
/// | ignored, or cancelled | nothing |
///
/// # Implementation notes
///
/// *Site Reliability Engineering*, Beyer and others, 2016, chapter 21: with `max(0, (requests - K · accepts) / (requests
/// + 1))`, over two minutes. Requests count when they end, so that those in flight are not taken for rejected ones.
#[derive(Debug, Clone, Copy)]
pub struct Throttle {
    multiplier: f64,
    window: Duration,
}

impl Throttle {
    /// Creates a policy with K = 2 and a window of two minutes.
    pub const fn new() -> Self {
        Self {
            multiplier: 2.0,
            window: TWO_MINUTES,
        }
    }

    /// Sets K, which is at least 1. By default 2.
    #[must_use]
    pub const fn multiplier(mut self, k: f64) -> Self {
        self.multiplier = k;
        self
    }

    /// Sets the time over which requests are counted. By default two minutes.
    #[must_use]
    pub const fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }
}

impl AdmissionPolicy for Throttle {
    fn window(&self) -> Duration {
        self.window
    }

    fn is_accepted(&self, class: Class) -> Option<bool> {
        match class {
            Class::Success => Some(true),
            Class::Failure(failure) => Some(failure.kind() == FailureKind::Internal),
            Class::Unsent => Some(false),
            _ => None,
        }
    }

    fn rejection_probability(&self, counts: Counts) -> f64 {
        let requests = (counts.accepted + counts.refused + counts.throttled) as f64;
        (requests - self.multiplier * counts.accepted as f64) / (requests + 1.0)
    }

    fn validate(&self) -> Result<(), InvalidPolicy> {
        InvalidPolicy::ensure(
            self.multiplier >= 1.0 && self.multiplier.is_finite(),
            "the multiplier must be at least 1",
        )?;
        ensure_window(self.window)
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new()
    }
}

/// Admission control by rejections: once the service accepts less than a share of the requests that it receives, rejects
/// some of them, the more the less it accepts, but never more than a maximum, so that it notices when the service accepts
/// more again.
///
/// | result | counts as |
/// |---|---|
/// | a failure of the kind `Overloaded`, `Unavailable` or `Unknown`, or unsent | rejected |
/// | success, or any other failure | accepted |
/// | ignored, or cancelled | nothing |
///
/// # Implementation notes
///
/// Finagle's `NackAdmissionFilter`: with a threshold of 50 %, a request is rejected with probability `1 - 2 · accepted`,
/// at most 75 %. Finagle averages exponentially over the window; here the requests in it have equal weights.
#[derive(Debug, Clone, Copy)]
pub struct NackAdmission {
    threshold: f64,
    max_probability: f64,
    min_rate: f64,
    window: Duration,
}

impl NackAdmission {
    /// Creates a policy with a threshold of 0.5, a maximum probability of 0.75, a minimum rate of 5 requests per second,
    /// and a window of two minutes.
    pub const fn new() -> Self {
        Self {
            threshold: 0.5,
            max_probability: 0.75,
            min_rate: 5.0,
            window: TWO_MINUTES,
        }
    }

    /// Sets the share of accepted requests below which some are rejected: more than 0, at most 1. By default 0.5.
    #[must_use]
    pub const fn threshold(mut self, share: f64) -> Self {
        self.threshold = share;
        self
    }

    /// Sets the maximum probability with which a request is rejected: from 0 to 1. By default 0.75. With 1 it may happen
    /// that no request is sent until the window is over.
    #[must_use]
    pub const fn max_probability(mut self, probability: f64) -> Self {
        self.max_probability = probability;
        self
    }

    /// Sets how many requests per second the service must have received for any to be rejected. By default 5.
    #[must_use]
    pub const fn min_rate(mut self, per_second: f64) -> Self {
        self.min_rate = per_second;
        self
    }

    /// Sets the time over which requests are counted. By default two minutes.
    #[must_use]
    pub const fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }
}

impl AdmissionPolicy for NackAdmission {
    fn window(&self) -> Duration {
        self.window
    }

    fn is_accepted(&self, class: Class) -> Option<bool> {
        match class {
            Class::Success => Some(true),
            Class::Failure(failure) => Some(!matches!(
                failure.kind(),
                FailureKind::Overloaded | FailureKind::Unavailable | FailureKind::Unknown
            )),
            Class::Unsent => Some(false),
            _ => None,
        }
    }

    fn rejection_probability(&self, counts: Counts) -> f64 {
        let received = (counts.accepted + counts.refused) as f64;
        let required = self.threshold * received;
        let accepted = counts.accepted as f64;
        // The usual case, also without any requests, needs no division.
        if accepted >= required || received < self.min_rate * counts.covered.as_secs_f64() {
            return 0.0;
        }
        (1.0 - accepted / required).min(self.max_probability)
    }

    fn validate(&self) -> Result<(), InvalidPolicy> {
        InvalidPolicy::ensure(
            self.threshold > 0.0 && self.threshold <= 1.0,
            "the threshold must be more than 0 and at most 1",
        )?;
        InvalidPolicy::ensure(
            (0.0..=1.0).contains(&self.max_probability),
            "the maximum probability must be from 0 to 1",
        )?;
        InvalidPolicy::ensure(
            self.min_rate >= 0.0 && self.min_rate.is_finite(),
            "the minimum rate must not be negative",
        )?;
        ensure_window(self.window)
    }
}

impl Default for NackAdmission {
    fn default() -> Self {
        Self::new()
    }
}

fn ensure_window(window: Duration) -> Result<(), InvalidPolicy> {
    InvalidPolicy::ensure(window >= MIN_WINDOW, "the window must be more than zero")
}

const TWO_MINUTES: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn counts(accepted: u64, refused: u64, throttled: u64) -> Counts {
        Counts::new(accepted, refused, throttled, SECOND)
    }

    #[test]
    fn throttling_follows_the_formula_of_the_book() {
        let throttle = Throttle::new();
        let probability = |a, r, t| throttle.rejection_probability(counts(a, r, t)).max(0.0);
        assert_eq!(probability(0, 0, 0), 0.0);
        assert_eq!(probability(50, 50, 0), 0.0);
        assert_eq!(probability(0, 9, 0), 0.9);
        assert_eq!(probability(10, 20, 69), (99.0 - 20.0) / 100.0);
        let strict = throttle.multiplier(1.0);
        assert_eq!(strict.rejection_probability(counts(5, 4, 0)), 0.4);
    }

    #[test]
    fn admission_begins_below_half_and_ends_at_three_quarters() {
        let nacks = NackAdmission::new();
        let probability = |a, r| nacks.rejection_probability(counts(a, r, 1000));
        assert_eq!(probability(50, 50), 0.0);
        assert_eq!(probability(25, 75), 0.5);
        assert_eq!(probability(0, 100), 0.75);
        // 4 in a second are too few, and 5 are not.
        assert_eq!(probability(0, 4), 0.0);
        assert_eq!(probability(0, 5), 0.75);
        let minute = Counts::new(0, 5, 0, 60 * SECOND);
        assert_eq!(nacks.rejection_probability(minute), 0.0);
        let without = nacks.min_rate(0.0);
        assert_eq!(without.rejection_probability(counts(0, 0, 0)), 0.0);
    }

    #[test]
    fn a_failure_of_the_request_itself_is_no_rejection() {
        let of = |kind| {
            let class = Class::failure(kind);
            let nacks = NackAdmission::new();
            (Throttle::new().is_accepted(class), nacks.is_accepted(class))
        };
        assert_eq!(of(FailureKind::Internal), (Some(true), Some(true)));
        assert_eq!(of(FailureKind::Timeout), (Some(false), Some(true)));
        assert_eq!(of(FailureKind::Disconnected), (Some(false), Some(true)));
        for kind in [
            FailureKind::Overloaded,
            FailureKind::Unavailable,
            FailureKind::Unknown,
        ] {
            assert_eq!(of(kind), (Some(false), Some(false)), "{kind:?}");
        }
        assert_eq!(NackAdmission::new().is_accepted(Class::Ignored), None);
        assert_eq!(Throttle::new().is_accepted(Class::Unsent), Some(false));
    }

    #[test]
    fn policies_out_of_range_are_rejected() {
        for throttle in [
            Throttle::new().multiplier(0.9),
            Throttle::new().multiplier(f64::NAN),
            Throttle::new().multiplier(f64::INFINITY),
            Throttle::new().window(Duration::ZERO),
        ] {
            assert!(throttle.validate().is_err(), "{throttle:?}");
        }
        for nacks in [
            NackAdmission::new().threshold(0.0),
            NackAdmission::new().threshold(f64::NAN),
            NackAdmission::new().max_probability(1.1),
            NackAdmission::new().min_rate(-1.0),
            NackAdmission::new().window(Duration::ZERO),
        ] {
            assert!(nacks.validate().is_err(), "{nacks:?}");
        }
        assert_eq!(Throttle::default().validate(), Ok(()));
        assert_eq!(NackAdmission::default().validate(), Ok(()));
    }
}
