//! How long to wait before the next attempt.
//!
//! [`ExponentialBackoff`] doubles the delay with every attempt and adds jitter, so that clients that failed together do
//! not retry together. Each sequence of attempts has its own jitter, even among clones of one maker. This is the
//! backoff of tower 0.5; [`Schedule`] is a plain value with all the usual kinds of backoff and jitter.
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

/// Creates a [`Backoff`] for each operation that is retried.
pub trait MakeBackoff {
    /// The sequence of delays.
    type Backoff: Backoff;

    /// Starts the sequence of delays of one operation.
    fn make_backoff(&mut self) -> Self::Backoff;
}

/// A sequence of delays.
pub trait Backoff {
    /// Completes when the delay is over.
    type Future: Future<Output = ()>;

    /// Starts the next delay.
    fn next_backoff(&mut self) -> Self::Future;
}

/// Creates [`ExponentialBackoff`]s.
///
/// # Clone
///
/// Clones draw different jitter.
#[derive(Debug, Clone)]
pub struct ExponentialBackoffMaker<R = HasherRng> {
    shape: Shape,
    rng: R,
    /// The number of sequences started by this maker and its clones.
    sequences: Arc<AtomicU64>,
}

#[derive(Debug, Clone, Copy)]
struct Shape {
    min: Duration,
    max: Duration,
    jitter: f64,
}

impl<R> ExponentialBackoffMaker<R> {
    /// The n-th delay, from n = 0, is between `min · 2ⁿ` and `min · 2ⁿ · (1 + jitter)`, and never more than `max`.
    ///
    /// The defaults (`ExponentialBackoffMaker::default()`) are 50 ms, 2³² ms (about fifty days) and 0.99.
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

/// Delays that double with every attempt, with jitter; see [`ExponentialBackoffMaker::new`].
#[derive(Debug, Clone)]
pub struct ExponentialBackoff<R = HasherRng> {
    shape: Shape,
    rng: R,
    /// Makes sequences differ that draw from clones of one generator.
    sequence: u64,
    attempts: u32,
}

impl<R: Rng> ExponentialBackoff<R> {
    /// Returns the next delay and advances the sequence.
    pub fn next_delay(&mut self) -> Duration {
        let Shape { min, max, jitter } = self.shape;
        // Leave room for jitter below the maximum; otherwise all clients would end up with the same delay.
        let cap = max.div_f64(1.0 + jitter).max(min);
        let doubled = 2_u32
            .checked_pow(self.attempts)
            .and_then(|factor| min.checked_mul(factor));
        let base = doubled.map_or(cap, |doubled| doubled.min(cap));
        self.attempts = self.attempts.saturating_add(1);
        // At most `max` times 101: only an absurdly large `max` saturates.
        let extra =
            Duration::try_from_secs_f64(base.as_secs_f64() * jitter * self.draw()).unwrap_or(max);
        base.saturating_add(extra).min(max)
    }

    /// A number from 0 to 1.
    fn draw(&mut self) -> f64 {
        // A Weyl sequence separates the sequences, and the finalizer of MurmurHash3 mixes all bits.
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

/// The parameters of a backoff are invalid.
#[derive(Debug)]
pub struct InvalidBackoff(&'static str);

impl fmt::Display for InvalidBackoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid backoff: {}", self.0)
    }
}

impl Error for InvalidBackoff {}
