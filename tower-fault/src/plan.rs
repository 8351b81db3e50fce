use std::ops::RangeInclusive;
use std::time::Duration;
use std::{error, fmt};

use tower_util::rng::Rng;

/// Which share of the requests is delayed, for how long, and which share fails. Both may happen to the same request: first it is
/// delayed, then it fails.
///
/// A plan is drawn from for each request, and does nothing else: the same numbers give the same faults.
///
/// ```
/// use std::time::Duration;
/// use tower_fault::Plan;
/// use tower_util::rng::SplitMix;
///
/// let ms = Duration::from_millis;
/// let plan = Plan::new().delay(0.5, ms(10)..=ms(20))?.fail(0.1)?;
/// let mut rng = SplitMix::with_seed(7);
/// let failed = (0..1000).filter(|_| plan.draw(&mut rng).fails).count();
/// assert!((60..140).contains(&failed));
/// # Ok::<_, tower_fault::InvalidFault>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    delayed: f64,
    delay: RangeInclusive<Duration>,
    failing: f64,
}

/// What happens to a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// How long it is delayed, if it is.
    pub delay: Option<Duration>,
    /// Whether it fails.
    pub fails: bool,
}

impl Plan {
    /// Creates a plan without faults.
    pub const fn new() -> Self {
        Self {
            delayed: 0.0,
            delay: Duration::ZERO..=Duration::ZERO,
            failing: 0.0,
        }
    }

    /// Delays this share of the requests, from 0 to 1, by a time in `delay`, each with the same probability. For a fixed delay,
    /// `delay..=delay`.
    ///
    /// # Errors
    ///
    /// If the share is not from 0 to 1, or the range is empty.
    pub fn delay(
        mut self,
        share: f64,
        delay: RangeInclusive<Duration>,
    ) -> Result<Self, InvalidFault> {
        if delay.is_empty() {
            return Err(InvalidFault::Delay(*delay.start(), *delay.end()));
        }
        self.delayed = check_share(share)?;
        self.delay = delay;
        Ok(self)
    }

    /// Fails this share of the requests, from 0 to 1.
    ///
    /// # Errors
    ///
    /// If the share is not from 0 to 1.
    pub fn fail(mut self, share: f64) -> Result<Self, InvalidFault> {
        self.failing = check_share(share)?;
        Ok(self)
    }

    /// Draws what happens to a request. Always takes three numbers, so that the faults of one kind do not depend on the share of
    /// the other.
    pub fn draw(&self, rng: &mut impl Rng) -> Fault {
        let (delayed, delay, failing) = (rng.next_f64(), rng.next_f64(), rng.next_f64());
        let span = *self.delay.end() - *self.delay.start();
        Fault {
            delay: (delayed < self.delayed).then(|| *self.delay.start() + scale(span, delay)),
            fails: failing < self.failing,
        }
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns the share `by`, from 0 to 1, of `span`.
fn scale(span: Duration, by: f64) -> Duration {
    // For the longest spans the product may round up to more than a `Duration` holds.
    Duration::try_from_secs_f64(span.as_secs_f64() * by).map_or(span, |scaled| scaled.min(span))
}

pub(crate) fn check_share(share: f64) -> Result<f64, InvalidFault> {
    match (0.0..=1.0).contains(&share) {
        true => Ok(share),
        false => Err(InvalidFault::Share(share)),
    }
}

/// A parameter of fault injection is out of range.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum InvalidFault {
    /// The share is not from 0 to 1.
    Share(f64),
    /// The shortest delay is longer than the longest.
    Delay(Duration, Duration),
}

impl fmt::Display for InvalidFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share(found) => write!(f, "the share is {found}, and must be from 0 to 1"),
            Self::Delay(min, max) => write!(f, "the delays from {min:?} to {max:?} are none"),
        }
    }
}

impl error::Error for InvalidFault {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tower_util::rng::SplitMix;

    use super::*;

    proptest! {
        #[test]
        fn shares_and_delays_are_those_of_the_plan(
            delayed in 0.0..=1.0_f64,
            failing in 0.0..=1.0_f64,
            bounds in (any::<Duration>(), any::<Duration>()),
            seed in any::<u64>(),
        ) {
            let range = bounds.0.min(bounds.1)..=bounds.0.max(bounds.1);
            let plan = Plan::new().delay(delayed, range.clone()).unwrap().fail(failing).unwrap();
            let mut rng = SplitMix::with_seed(seed);
            let faults: Vec<_> = (0..2000).map(|_| plan.draw(&mut rng)).collect();
            let share = |count: usize| count as f64 / 2000.0;
            let delays: Vec<_> = faults.iter().filter_map(|fault| fault.delay).collect();
            prop_assert!(delays.iter().all(|delay| range.contains(delay)));
            // Five standard deviations and a half.
            prop_assert!((share(delays.len()) - delayed).abs() < 0.062);
            let failed = faults.iter().filter(|fault| fault.fails).count();
            prop_assert!((share(failed) - failing).abs() < 0.062);
        }
    }

    #[test]
    fn none_and_all() {
        let mut rng = SplitMix::with_seed(7);
        let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3600));
        let all = Plan::new()
            .delay(1.0, second..=hour)
            .unwrap()
            .fail(1.0)
            .unwrap();
        for _ in 0..1000 {
            assert_eq!(Plan::new().draw(&mut rng), Fault::default());
            let fault = all.draw(&mut rng);
            assert!(fault.fails && fault.delay >= Some(second));
        }
    }

    #[test]
    fn parameters_are_checked() {
        for share in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert!(matches!(
                Plan::new().fail(share),
                Err(InvalidFault::Share(_))
            ));
        }
        let (short, long) = (Duration::ZERO, Duration::from_secs(1));
        assert_eq!(
            Plan::new().delay(1.0, long..=short),
            Err(InvalidFault::Delay(long, short))
        );
    }
}
