use std::sync::Arc;
use std::time::Duration;

use crate::rng::Rng;

/// How long to wait before each retry: a plain value that draws jitter from the generator it is given.
///
/// No delay exceeds the maximum or overflows, whatever the number of retries.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use tower_util::backoff::{Jitter, Schedule};
/// use tower_util::rng::SplitMix;
///
/// const MS: Duration = Duration::from_millis(1);
/// let doubling = Schedule::exponential(25 * MS, 250 * MS).with_jitter(Jitter::None);
/// let waits: Vec<_> = doubling.waits(SplitMix::with_seed(1)).take(5).collect();
/// assert_eq!(waits, [25 * MS, 50 * MS, 100 * MS, 200 * MS, 250 * MS]);
/// ```
#[derive(Clone, Debug)]
pub struct Schedule {
    shape: Shape,
    max: Duration,
    jitter: Jitter,
}

/// The random part of a delay, so that clients that failed together do not retry together.
///
/// Names and formulas follow M. Brooker, [Exponential Backoff And
/// Jitter](https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/), 2015. `d` is the delay without
/// jitter:
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Jitter {
    /// Exactly `d`: clients that failed together retry together.
    None,
    /// From 0 to `d`: the least total work for the server.
    #[default]
    Full,
    /// From `d / 2` to `d`: never an immediate retry.
    Equal,
    /// From the first delay to three times the last one: grows at random rather than with the number of retries.
    Decorrelated,
}

#[derive(Clone, Debug)]
enum Shape {
    Constant(Duration),
    Doubling(Duration),
    List(Arc<[Duration]>),
}

impl Schedule {
    /// No delay before any retry.
    pub const fn none() -> Self {
        Self::constant(Duration::ZERO)
    }

    /// Always the same delay, without jitter.
    pub const fn constant(wait: Duration) -> Self {
        Self {
            shape: Shape::Constant(wait),
            max: Duration::MAX,
            jitter: Jitter::None,
        }
    }

    /// Delays of `first`, then twice the one before, up to `max`, with [`Jitter::Full`].
    pub const fn exponential(first: Duration, max: Duration) -> Self {
        Self {
            shape: Shape::Doubling(first),
            max,
            jitter: Jitter::Full,
        }
    }

    /// The delays of an iterator, without jitter; after the last one there are no more retries. The iterator is read
    /// once, up to 1,000 delays.
    pub fn list(waits: impl IntoIterator<Item = Duration>) -> Self {
        Self {
            shape: Shape::List(waits.into_iter().take(LONGEST_LIST).collect()),
            max: Duration::MAX,
            jitter: Jitter::None,
        }
    }

    /// Sets the random part of each delay.
    #[must_use]
    pub fn with_jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// Sets the maximum delay.
    #[must_use]
    pub fn with_max(mut self, max: Duration) -> Self {
        self.max = max;
        self
    }

    /// Returns the delay before a retry, after `retries` earlier ones; `last` is the last delay, or zero if there was
    /// none. Returns `None` if there must be no more retries.
    pub fn wait(&self, retries: u32, last: Duration, rng: &mut impl Rng) -> Option<Duration> {
        let (least, whole) = match &self.shape {
            Shape::Constant(wait) => (*wait, *wait),
            Shape::Doubling(first) => (*first, doubled(*first, retries)),
            Shape::List(waits) => {
                let wait = *waits.get(retries as usize)?;
                (wait, wait)
            }
        };
        let (least, whole) = (least.min(self.max), whole.min(self.max));
        Some(match self.jitter {
            Jitter::None => whole,
            Jitter::Full => share(whole, rng),
            Jitter::Equal => whole / 2 + share(whole - whole / 2, rng),
            Jitter::Decorrelated => {
                let most = last.saturating_mul(3).clamp(least, self.max);
                least + share(most - least, rng)
            }
        })
    }

    /// Iterates over the delays of one sequence of retries.
    pub fn waits<R: Rng>(&self, mut rng: R) -> impl Iterator<Item = Duration> + use<R> {
        let schedule = self.clone();
        let (mut retries, mut last) = (0_u32, Duration::ZERO);
        std::iter::from_fn(move || {
            last = schedule.wait(retries, last, &mut rng)?;
            retries = retries.saturating_add(1);
            Some(last)
        })
    }
}

impl Default for Schedule {
    /// From 25 ms to 250 ms with full jitter, as in Envoy.
    fn default() -> Self {
        Self::exponential(Duration::from_millis(25), Duration::from_millis(250))
    }
}

/// `first`, doubled `times` times, saturating.
fn doubled(first: Duration, times: u32) -> Duration {
    let nanos = first.as_nanos();
    if nanos == 0 || nanos.leading_zeros() <= times {
        // Doubling zero gives zero.
        return if nanos == 0 { first } else { Duration::MAX };
    }
    let nanos = nanos << times;
    match u64::try_from(nanos / NANOS) {
        Ok(seconds) => Duration::new(seconds, (nanos % NANOS) as u32),
        Err(_) => Duration::MAX,
    }
}

/// A random part, from zero to all of it.
fn share(whole: Duration, rng: &mut impl Rng) -> Duration {
    Duration::try_from_secs_f64(whole.as_secs_f64() * rng.next_f64())
        .unwrap_or(whole)
        .min(whole)
}

const LONGEST_LIST: usize = 1000;
const NANOS: u128 = 1_000_000_000;
