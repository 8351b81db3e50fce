use std::time::Duration;

use tokio::time::Instant;

/// An exponentially weighted moving average that rises to a peak immediately and decays slowly.
///
/// It has no clock of its own, and reading it does not change it. With `w = exp(-elapsed / decay)`,
///
/// - [`get_at`](Ewma::get_at) is `value * w`: without samples, the estimate decays to 0.
/// - [`add_peak`](Ewma::add_peak) sets the estimate to the sample if that is above the decayed value, and otherwise to
///   `value * w + sample * (1 - w)`.
///
/// A time before the last sample counts as the time of that sample, so a clock that steps back is harmless. Every
/// sample decays: a negative one or NaN counts as 0, and one above 2⁶⁴, or infinite, as 2⁶⁴, which decays to 1 in 45
/// decay times.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use tokio::time::Instant;
/// use tower_load::Ewma;
///
/// let start = Instant::now();
/// let mut latency = Ewma::new(start, Duration::from_secs(10), 1.0);
/// assert_eq!(latency.get_at(start), 1.0);
/// // A tenth of a second later, a sample of 5 is a peak: the estimate is set to it.
/// assert_eq!(latency.add_peak(start + Duration::from_millis(100), 5.0), 5.0);
/// // Ten seconds after that, 1/e of it is left.
/// let later = start + Duration::from_millis(10_100);
/// assert!((latency.get_at(later) - 5.0 * (-1.0_f64).exp()).abs() < 1e-9);
/// ```
///
/// # Implementation notes
///
/// As in Finagle's `PeakEwma`. The exponent is proportional to the elapsed time, so samples at irregular intervals are
/// weighted by time, not by number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ewma {
    value: f64,
    at: Instant,
    decay: f64,
}

impl Ewma {
    /// Creates an average that is `value` at `now`. `decay` is the time in which a value decays to 1/e; less than a
    /// millisecond counts as one millisecond.
    pub fn new(now: Instant, decay: Duration, value: f64) -> Self {
        Self {
            value: sane(value),
            at: now,
            decay: decay.max(MIN_DECAY).as_secs_f64(),
        }
    }

    /// Returns the estimate at `now`.
    pub fn get_at(&self, now: Instant) -> f64 {
        self.value * self.weight(now)
    }

    /// Adds a sample taken at `now`. Returns the new estimate.
    pub fn add_peak(&mut self, now: Instant, sample: f64) -> f64 {
        let sample = sane(sample);
        let weight = self.weight(now);
        let decayed = self.value * weight;
        self.value = if sample > decayed {
            sample
        } else {
            decayed + sample * (1.0 - weight)
        };
        self.at = self.at.max(now);
        self.value
    }

    fn weight(&self, now: Instant) -> f64 {
        let elapsed = now.saturating_duration_since(self.at);
        if elapsed.is_zero() {
            1.0
        } else {
            (-elapsed.as_secs_f64() / self.decay).exp()
        }
    }
}

fn sane(value: f64) -> f64 {
    if value.is_nan() {
        0.0
    } else {
        value.clamp(0.0, MAX)
    }
}

/// In nanoseconds, 584 years. An infinite value would not decay.
const MAX: f64 = 18_446_744_073_709_551_616.0;
const MIN_DECAY: Duration = Duration::from_millis(1);
