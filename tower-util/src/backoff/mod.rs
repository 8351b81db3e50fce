//! How long to wait before the next attempt.
//!
//! [`ExponentialBackoff`] doubles the wait with every attempt and adds jitter, so that clients that failed together do
//! not come back together. The jitter of each sequence of attempts is its own, also among clones of one maker. It is the one
//! of tower 0.5; [`Schedule`] has all the usual kinds of backoff and jitter, as a plain value.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use tower_util::backoff::{ExponentialBackoffMaker, MakeBackoff};
//! use tower_util::rng::HasherRng;
//!
//! let (min, max) = (Duration::from_millis(50), Duration::from_secs(1));
//! let mut maker = ExponentialBackoffMaker::new(min, max, 0.5, HasherRng::new()).unwrap();
//! let mut backoff = maker.make_backoff();
//! let first = backoff.next_delay();
//! assert!(first >= min && first <= min.mul_f64(1.5));
//! let second = backoff.next_delay();
//! assert!(second >= 2 * min && second <= max);
//! ```

mod schedule;

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use self::schedule::{Jitter, Schedule};

use crate::rng::{HasherRng, Rng};

/// Begins sequences of waits: one [`Backoff`] for each thing that is tried again and again.
pub trait MakeBackoff {
    /// The sequence.
    type Backoff: Backoff;

    /// Begins a sequence.
    fn make_backoff(&mut self) -> Self::Backoff;
}

/// A sequence of waits.
pub trait Backoff {
    /// Finishes when the wait is over.
    type Future: Future<Output = ()>;

    /// The next wait.
    fn next_backoff(&mut self) -> Self::Future;
}

/// Makes [`ExponentialBackoff`]s.
///
/// # Clone
///
/// All clones draw different jitter.
#[derive(Debug, Clone)]
pub struct ExponentialBackoffMaker<R = HasherRng> {
    shape: Shape,
    rng: R,
    /// How many sequences were begun by this maker and its clones.
    sequences: Arc<AtomicU64>,
}

#[derive(Debug, Clone, Copy)]
struct Shape {
    min: Duration,
    max: Duration,
    jitter: f64,
}

impl<R> ExponentialBackoffMaker<R> {
    /// The n-th wait, from n = 0, is between `min · 2ⁿ` and `min · 2ⁿ · (1 + jitter)`, and never more than `max`.
    ///
    /// By default (`ExponentialBackoffMaker::default()`): 50 ms, 2³² ms (some fifty days), 0.99.
    ///
    /// # Errors
    ///
    /// If `min` exceeds `max`, if `max` is zero, or if `jitter` is not a number from 0 to 100.
    pub fn new(min: Duration, max: Duration, jitter: f64, rng: R) -> Result<Self, InvalidBackoff> {
        if min > max {
            return Err(InvalidBackoff("the minimum must not exceed the maximum"));
        }
        if max.is_zero() {
            return Err(InvalidBackoff("the maximum must be more than zero"));
        }
        if !(0.0..=100.0).contains(&jitter) {
            return Err(InvalidBackoff("the jitter must be a number from 0 to 100"));
        }
        Ok(Self {
            shape: Shape { min, max, jitter },
            rng,
            sequences: Arc::default(),
        })
    }
}

impl Default for ExponentialBackoffMaker {
    fn default() -> Self {
        Self::new(
            Duration::from_millis(50),
            Duration::from_millis(1 << 32),
            0.99,
            HasherRng::default(),
        )
        .expect("the defaults are valid")
    }
}

impl<R: Rng + Clone> MakeBackoff for ExponentialBackoffMaker<R> {
    type Backoff = ExponentialBackoff<R>;

    fn make_backoff(&mut self) -> ExponentialBackoff<R> {
        let sequence = self.sequences.fetch_add(1, Ordering::Relaxed);
        ExponentialBackoff {
            shape: self.shape,
            rng: self.rng.clone(),
            sequence,
            attempts: 0,
        }
    }
}

/// Waits that double with every attempt, with jitter; see [`ExponentialBackoffMaker::new`].
#[derive(Debug, Clone)]
pub struct ExponentialBackoff<R = HasherRng> {
    shape: Shape,
    rng: R,
    /// Sets apart sequences that draw from clones of one generator.
    sequence: u64,
    attempts: u32,
}

impl<R: Rng> ExponentialBackoff<R> {
    /// The next wait, which counts as taken.
    pub fn next_delay(&mut self) -> Duration {
        let Shape { min, max, jitter } = self.shape;
        // Jitter must have room below the maximum, or all would wait for just as long in the end.
        let cap = max.div_f64(1.0 + jitter).max(min);
        let doubled = 2_u32
            .checked_pow(self.attempts)
            .and_then(|factor| min.checked_mul(factor));
        let base = doubled.map_or(cap, |doubled| doubled.min(cap));
        self.attempts = self.attempts.saturating_add(1);
        // A duration below `max`, times a factor of at most 101: only an absurd `max` saturates.
        let extra =
            Duration::try_from_secs_f64(base.as_secs_f64() * jitter * self.draw()).unwrap_or(max);
        base.saturating_add(extra).min(max)
    }

    /// From 0 to 1.
    fn draw(&mut self) -> f64 {
        // Weyl's sequence sets the sequences apart, and the finalizer of MurmurHash3 spreads it over all bits.
        let mut x = self
            .rng
            .next_u64()
            .wrapping_add(self.sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        x = (x ^ (x >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        x = (x ^ (x >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        x ^= x >> 33;
        (x >> 11) as f64 / (1_u64 << 53) as f64
    }
}

impl<R: Rng> Backoff for ExponentialBackoff<R> {
    type Future = tokio::time::Sleep;

    fn next_backoff(&mut self) -> Self::Future {
        tokio::time::sleep(self.next_delay())
    }
}

/// The parameters of a backoff make no sense.
#[derive(Debug)]
pub struct InvalidBackoff(&'static str);

impl fmt::Display for InvalidBackoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid backoff: {}", self.0)
    }
}

impl Error for InvalidBackoff {}
