use std::time::Duration;

use tokio::time::Instant;

/// An exponentially weighted moving average that jumps up to peaks and fades down slowly.
///
/// A pure value: it has no clock, and reading does not change it. With `w = exp(-elapsed / decay)`,
///
/// - [`get_at`](Ewma::get_at) is `value * w`: without samples the estimate fades to 0.
/// - [`add_peak`](Ewma::add_peak) of a sample above the faded value takes the sample; of one below, the average
///   `value * w + sample * (1 - w)`.
///
/// Times before the last sample count as the time of that sample, so a clock that steps back does no harm. No sample stays
/// for ever: one that is negative or not a number counts as 0, and one of more than 2⁶⁴, or infinite, as 2⁶⁴, which has faded
/// to 1 after 45 decay times.
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
/// // A tenth of a second later a sample of 5 is a peak, taken whole.
/// assert_eq!(latency.add_peak(start + Duration::from_millis(100), 5.0), 5.0);
/// // Ten seconds after that, 1/e of it is left.
/// let later = start + Duration::from_millis(10_100);
/// assert!((latency.get_at(later) - 5.0 * (-1.0_f64).exp()).abs() < 1e-9);
/// ```
///
/// # Implementation notes
///
/// After Finagle's `PeakEwma`. The weight of time is linear in the exponent, so samples at irregular times are weighed
/// by the time they stood, not by their number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ewma {
    value: f64,
    at: Instant,
    decay: f64,
}

impl Ewma {
    /// Begins with `value` at `now`. `decay` is the time in which a value fades to 1/e; under a millisecond counts as
    /// one.
    pub fn new(now: Instant, decay: Duration, value: f64) -> Self {
        Self {
            value: sane(value),
            at: now,
            decay: decay.max(MIN_DECAY).as_secs_f64(),
        }
    }

    /// The estimate at `now`.
    pub fn get_at(&self, now: Instant) -> f64 {
        self.value * self.weight(now)
    }

    /// Takes a sample at `now`; returns the new estimate.
    pub fn add_peak(&mut self, now: Instant, sample: f64) -> f64 {
        let sample = sane(sample);
        let weight = self.weight(now);
        let faded = self.value * weight;
        self.value = if sample > faded {
            sample
        } else {
            faded + sample * (1.0 - weight)
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
        value.clamp(0.0, MOST)
    }
}

/// Of nanoseconds these are 584 years. What is infinite would stay so, whatever it is multiplied by.
const MOST: f64 = 18_446_744_073_709_551_616.0;
const MIN_DECAY: Duration = Duration::from_millis(1);
